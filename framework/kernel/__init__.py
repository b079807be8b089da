"""The running kernel as a second back end: the same scenarios and benchmarks on real folios."""
