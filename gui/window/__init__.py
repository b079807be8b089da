"""The window, what it offers to every workspace, and what every workspace is."""
