"""Scenarios: litmus tests of folio ownership, run by the engine and by the running kernel alike."""
