"""A kernel in a virtual machine: QEMU with an initramfs whose only program is the agent."""
