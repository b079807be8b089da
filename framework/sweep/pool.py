"""The executors of tasks (`concurrent.futures`): processes of this host, or the workers of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any, Final

from foliolab.framework.errors import UsageError
from foliolab.framework.isolation import safepath

CONNECT: Final = "10s"


def local(workers: int) -> Executor:
    """A pool of spawned processes.

    The standard pool serves here instead of `isolation.process`, because a task's own child process (see `task.run`)
    already isolates it.
    """
    return ProcessPoolExecutor(workers, mp_context=safepath.context("spawn"), initializer=_end_with_sigint)


def _end_with_sigint() -> None:
    """Let Ctrl-C end a worker without a traceback; the program reports the interruption."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stop(executor: Executor) -> None:
    """End an executor now, with its processes if they run on this host."""
    if not isinstance(executor, ProcessPoolExecutor):
        executor.shutdown(wait=False)  # a cluster's executor cancels the tasks that have not begun
    else:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


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
