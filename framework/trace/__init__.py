"""Traces: recorded memory-management events of real programs, their file format, and importers of tracers' texts."""
