"""The cost model: counts of what is executed, times published constants of a named processor. Nothing is fitted."""
