"""Computes in a thread what would keep the window's loop too long; only the latest question is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from PySide6.QtCore import QObject, QTimer, Signal

INTERVAL: Final = 20
"""Milliseconds between two checks whether the answer is there."""


class Aside(QObject):
    """Answers the latest question that it was given.

    The threads are daemons: what never ends does not keep the process.

    Signals:
        done: what the function returned.
        failed: the exception that it raised.
    """

    done = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._answer: Future[Any] | None = None
        self._timer = QTimer(self, interval=INTERVAL)
        self._timer.timeout.connect(self._check)

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._answer is not None

    def begin(self, work: Callable[..., object], *arguments: object) -> None:
        """Call a function in a thread; the answer to an earlier question is dropped."""
        self._answer = Future()
        threading.Thread(target=_work, args=(self._answer, work, arguments), name=work.__name__, daemon=True).start()
        self._timer.start()

    def shut(self) -> None:
        """Await no answer any more."""
        self._timer.stop()
        self._answer = None

    def _check(self) -> None:
        answer = self._answer
        if answer is None or not answer.done():
            return
        self.shut()
        fault = answer.exception()
        if fault is None:
            self.done.emit(answer.result())
        else:
            self.failed.emit(fault)


def _work(answer: Future[Any], work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    try:
        answer.set_result(work(*arguments))
    except Exception as fault:  # the code of a policy can raise anything
        answer.set_exception(fault)
