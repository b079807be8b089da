"""The anatomy of a policy: what it stores in struct folio, and which atomic operations its text has."""
