"""The executors of tasks (`concurrent.futures`): threads that wait for processes here, or workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Final

from foliolab.framework.errors import UsageError
from foliolab.framework.sweep import task

CONNECT: Final = "10s"


def local(workers: int) -> Executor:
    """So many tasks at a time on this host. Threads suffice: each task is a process of its own (see `task.run`)."""
    return ThreadPoolExecutor(workers)


def stop(executor: Executor) -> None:
    """End an executor now, with its processes if they run on this host."""
    if not isinstance(executor, ThreadPoolExecutor):
        executor.shutdown(wait=False)  # a cluster's executor cancels the tasks that have not begun
    else:
        executor.shutdown(wait=False, cancel_futures=True)
        task.end_all()


class Cluster:
    """A running Dask cluster.

    Args:
        address: of its scheduler, such as tcp://host:8786.

    Raises:
        UsageError: dask.distributed is not installed, or no scheduler answers.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as fault:
            raise UsageError(f"a cluster needs dask.distributed: {fault}", "pip install 'foliolab[cluster]'") from fault
        try:
            client: Any = Client
            self.client = client(address, timeout=CONNECT)
        except (OSError, ValueError, TimeoutError) as fault:
            raise UsageError(
                f"no Dask scheduler answers at {address}: {fault}", "start one with `dask scheduler`"
            ) from fault

    @property
    def workers(self) -> int:
        return sum(self.client.nthreads().values())

    def executor(self) -> Executor:
        """The executor of the cluster. Dask gives the task of a lost worker to another worker."""
        found: Executor = self.client.get_executor(pure=False)
        return found

    def close(self) -> None:
        """Disconnect from the cluster, which continues to run."""
        self.client.close()


Maker = Callable[[], Executor]
