"""The compare workspace."""
