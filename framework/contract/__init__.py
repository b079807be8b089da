"""The contract: what a plugin declares, policies, workloads, sharing patterns, trace readers and the pluggy hooks."""
