"""The running kernel: scenarios, benchmarks and recordings on it (docs/real-kernels.md)."""
