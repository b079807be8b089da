"""The tours: what a false shared is, what per-page mapcounts cost, how a race is found."""
