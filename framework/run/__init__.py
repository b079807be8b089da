"""A run: workloads × folio sizes × policies, counted and timed in a process of its own, into a result."""
