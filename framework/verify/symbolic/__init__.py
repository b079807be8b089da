"""The symbolic attack; docs/symbolic.md explains how it works."""
