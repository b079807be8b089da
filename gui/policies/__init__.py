"""The policies workspace."""
