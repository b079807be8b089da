"""A run: workloads × folio sizes × policies, counted and timed in a process of its own, into a result."""

from foliolab.framework.run.request import RunRequest, memory_needed
from foliolab.framework.run.supervise import compare_run

__all__ = ["RunRequest", "compare_run", "memory_needed"]
