"""The engine, its tools and its command line: everything that is not a policy, a workload or the desktop."""
