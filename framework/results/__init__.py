"""Results: the result file, its provenance, the statistics and verdicts, and what merges or compares results."""
