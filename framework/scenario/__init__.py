"""Scenarios: litmus tests of folio ownership that the engine and the running kernel run alike."""
