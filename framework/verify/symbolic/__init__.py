"""The symbolic attack: a policy's functions on solver terms, over all MM IDs, counts and orders at once."""
