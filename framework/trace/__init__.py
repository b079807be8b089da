"""Recorded streams of memory-management events of real programs."""
