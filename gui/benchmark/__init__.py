"""The benchmark workspace."""
