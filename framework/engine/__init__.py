"""The folio and rmap engine: flat arrays for state, plain functions over them for operations."""
