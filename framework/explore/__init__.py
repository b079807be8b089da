"""Policies side by side on the same steps, forward and back, and what maps and inspectors show of them. No Qt."""
