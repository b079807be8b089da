"""The processes that a sharing pattern directs: each call is checked and becomes an operation."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from foliolab.framework.contract.sharing_pattern import Usage
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import ModelError
from foliolab.framework.machine.layout import PMD_ORDER

MOST_PAGES: Final = 1 << 18
"""Pages of a process's memory, and of the file."""


def _no_time(steps: int) -> None:
    pass


class PatternProcesses:
    """The implementation of `contract.sharing_pattern.Processes`, which documents the methods.

    Args:
        usage: how much the pattern may use.
        seed: of `random`.
        do: carries out an operation. Its MMs are the pattern's processes, numbered from 1; the `pfn` of `map_file`
            is a page of the one file.
        wait: lets steps of time pass.

    Attributes:
        random: for the pattern.
    """

    def __init__(
        self, usage: Usage, seed: int, do: Callable[[Operation], None], wait: Callable[[int], None] = _no_time
    ) -> None:
        self.usage = usage
        self.random = Random(seed)
        self._do = do
        self._wait = wait
        self._alive: set[int] = set()
        self._started = 0

    def start(self) -> int:
        process = self._new()
        self._do(Operation.of("create", mm=process))
        return process

    def fork(self, parent: int) -> int:
        self._check_process(parent)
        child = self._new()
        self._do(Operation.of("fork", parent=parent, child=child))
        return child

    def exit(self, process: int) -> None:
        self._check_process(process)
        self._alive.remove(process)
        self._do(Operation.of("exit", mm=process))

    def populate(self, process: int, page: int, nr: int, order: int | None = None) -> None:
        order = self.usage.order if order is None else order
        self._check_process(process)
        _check_pages(page, nr, "a process's memory")
        if order == 1 or not 0 <= order <= PMD_ORDER:
            raise ModelError(f"there are no anonymous folios of order {order}", f"orders are 0 and 2 to {PMD_ORDER}")
        if page % (1 << order) or nr % (1 << order):
            raise ModelError(
                f"pages {page} to {page + nr - 1} are not whole folios of {1 << order} pages", "align them to folios"
            )
        self._do(Operation.of("populate", mm=process, start=page, nr=nr, order=order))

    def write(self, process: int, page: int, nr: int = 1) -> None:
        self._check_process(process)
        _check_pages(page, nr, "a process's memory")
        self._do(Operation("write", (("mm", process), ("start", page), ("nr", nr))))

    def unmap(self, process: int, page: int, nr: int = 1) -> None:
        self._check_process(process)
        _check_pages(page, nr, "a process's memory")
        self._do(Operation("unmap", (("mm", process), ("start", page), ("nr", nr))))

    def map_file(self, process: int, page: int, file_page: int, nr: int = 1) -> None:
        self._check_process(process)
        _check_pages(page, nr, "a process's memory")
        _check_pages(file_page, nr, "the file")
        self._do(Operation.of("map_file", mm=process, vpn=page, pfn=file_page, nr=nr))

    def wait(self, steps: int) -> None:
        if steps < 0:
            raise ModelError(f"the pattern waits for {steps} steps", "wait for 0 steps or more")
        self._wait(int(steps))

    def _new(self) -> int:
        if len(self._alive) >= self.usage.mms:
            raise ModelError(
                f"the pattern has more than {self.usage.mms} processes at a time",
                "let one exit first, or start at most `usage.mms`",
            )
        self._started += 1
        self._alive.add(self._started)
        return self._started

    def _check_process(self, process: int) -> None:
        if process not in self._alive:
            raise ModelError(f"process {process} does not live", "use what `start` and `fork` return, until `exit`")


def _check_pages(page: int, nr: int, what: str) -> None:
    if nr < 1 or page < 0 or page + nr > MOST_PAGES:
        raise ModelError(f"pages {page} to {page + nr - 1} are not in {what}", f"it has pages 0 to {MOST_PAGES - 1}")
