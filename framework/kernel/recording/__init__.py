"""Recording real programs: perf, bpftrace, snapshots, strace, each into the same trace format."""
