"""Three tours: what is a false shared, why per-page mapcounts cost, how a race is found."""
