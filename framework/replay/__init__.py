"""Replay: a recorded stream of events on the engine, a machine of its own for each policy, into a result."""
