"""Who runs the tasks: processes here, or the workers of a Dask cluster; both speak `concurrent.futures`."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any, Final

from foliolab.framework.errors import UsageError

CONNECT: Final = "10s"


def local(workers: int) -> Executor:
    """A pool of new processes."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_plain)


def _plain() -> None:
    """In a worker: Ctrl-C ends it at once, without a word; the program says what there is to say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stop(executor: Executor) -> None:
    """End an executor now, and its processes if they are here."""
    if not isinstance(executor, ProcessPoolExecutor):
        executor.shutdown(wait=False)  # a cluster's cancels what has not begun
    else:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


class Cluster:
    """A running Dask cluster.

    Args:
        address: of its scheduler, such as tcp://host:8786.

    Raises:
        UsageError: dask.distributed is not installed, or nobody answers there.
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
        """Threads of all its workers now."""
        return sum(self.client.nthreads().values())

    def executor(self) -> Executor:
        """It as an executor; a task whose worker is lost is given to another one, by Dask."""
        found: Executor = self.client.get_executor(pure=False)
        return found

    def close(self) -> None:
        """Leave it; it goes on."""
        self.client.close()


Maker = Callable[[], Executor]
