"""Recorders of real programs: perf, bpftrace, snapshots and strace all write the same trace format."""
