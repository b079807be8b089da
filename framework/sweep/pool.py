"""The executors of tasks (`concurrent.futures`): threads that wait for processes here, or workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
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
        executor.shutdown(wait=False)  # a cluster's executor cancels its tasks: see `forgotten`
    else:
        executor.shutdown(wait=False, cancel_futures=True)
        task.end_all()


@dataclass(frozen=True)
class Certificates:
    """The files for TLS (PEM). What is empty comes from Dask's own configuration, `distributed.comm.tls`.

    Args:
        authority: the certificates of who signs those of the scheduler and the workers.
        own: the certificate of this client.
        key: the private key of `own`.
    """

    authority: str = ""
    own: str = ""
    key: str = ""


class Cluster:
    """A running Dask cluster. Whoever reaches its scheduler can run code on its workers.

    Args:
        address: of its scheduler, such as tcp://host:8786 or tls://host:8786.
        certificates: for TLS.

    Raises:
        UsageError: dask.distributed is not installed, or no scheduler answers.
    """

    def __init__(self, address: str, certificates: Certificates = Certificates()) -> None:
        try:
            import distributed
        except ImportError as fault:
            raise UsageError(f"a cluster needs dask.distributed: {fault}", "pip install 'foliolab[cluster]'") from fault
        try:
            dask: Any = distributed
            security = dask.Security(**_tls(address, certificates))
            self.client = dask.Client(address, timeout=CONNECT, security=security)
        except (OSError, ValueError, TimeoutError, TypeError, RuntimeError) as fault:
            # Without a usable certificate Dask raises the last two.
            raise UsageError(
                f"no Dask scheduler answers at {address}: {fault}",
                "start one with `dask scheduler`; with TLS, it and the client need certificates: see --dask-tls-ca",
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


def _tls(address: str, certificates: Certificates) -> dict[str, Any]:
    """The arguments of Dask's `Security`. With TLS, nothing is sent without encryption."""
    files = {
        "tls_ca_file": certificates.authority,
        "tls_client_cert": certificates.own,
        "tls_client_key": certificates.key,
    }
    given: dict[str, Any] = {name: file for name, file in files.items() if file}
    return {**given, "require_encryption": True} if given or address.startswith("tls:") else {}


Maker = Callable[[], Executor]
