"""The verify workspace."""
