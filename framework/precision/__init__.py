"""How often, and for how long, policies call an exclusive folio shared, by workload and number of MMs."""
