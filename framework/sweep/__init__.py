"""Sweeps: a grid of commands, run by processes here or by a Dask cluster, resumed, and merged into one file."""
