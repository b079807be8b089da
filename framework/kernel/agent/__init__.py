"""The agent that plays scenarios in real processes: its C text, its making, and the channel to it.

The text is built once by the system's compiler. One program serves the running kernel and guests, so that a scenario
is played in one way only. It is static: in a guest there is no other file.
"""
