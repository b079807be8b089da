"""Measure the running kernel, and hold policies against it."""
