"""Isolation: child processes, time limits, and naming the code that is to blame for a failure."""
