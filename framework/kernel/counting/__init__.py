"""Exact counts of what a kernel executes: a plugin of QEMU's TCG counts between marks that the agent sets."""
