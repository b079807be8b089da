"""The explore workspace."""
