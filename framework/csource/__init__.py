"""Policies written in C: a C file becomes the text of a policy, and each line of the text knows its C line."""
