"""Progress on stderr: a bar with the remaining time for runs of more than a second, or a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from foliolab.framework.escaping import visible

if TYPE_CHECKING:
    from foliolab.framework.verify.attack import Progress as News
    from foliolab.framework.verify.finding import Finding

QUIET: Final = 1.0
"""Seconds before a bar appears; a shorter run shows no bar."""
LONG: Final = 3.0
"""Seconds before a line says that a run goes on, where stderr is not a terminal."""
AGAIN: Final = 60.0
"""Seconds between two such lines."""
LIVE: Final = 0.25
"""Seconds between two updates of the table of attacks in a terminal."""
LINES: Final = 10.0
"""Seconds between two lines of one attack where stderr is not a terminal."""


class Progress:
    """Shows phases of a run while the block runs: a bar in a terminal, else a line on stderr now and then.

    A call reports a step: `progress(phase, done, total)`, with total 0 if it is unknown.
    """

    def __init__(self) -> None:
        self.bars: Any = None
        self.phase = ""
        self.task: Any = None
        self.wanted = sys.stderr.isatty()
        self._news = ("starting", 0, 0)
        self._due = self._over = False
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        self._wait(QUIET if self.wanted else LONG)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()
            if self.bars is not None:
                self.bars.stop()

    def __call__(self, phase: str, done: int, total: int) -> None:
        with self._lock:
            self._news = phase, done, total
            if self._due and self.wanted:
                self._show()

    def _wait(self, seconds: float) -> None:
        """Show something after a time: a step may last long, so no step tells how long a run has taken."""
        self._timer = threading.Timer(seconds, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def _begin(self) -> None:
        with self._lock:
            self._due = True
            if self._over:
                return
            if self.wanted:
                self._show()
                return
            phase, done, total = self._news
            counted = f": {done:,} of {total:,}" if total else f": {done:,}" if done else ""
            sys.stderr.write(visible(f"{phase}{counted} …\n"))
            sys.stderr.flush()
            self._wait(AGAIN)

    def _show(self) -> None:
        phase, done, total = self._news
        if self.bars is None:
            self._start()
        if phase != self.phase:
            if self.task is not None:
                self.bars.remove_task(self.task)
            self.phase, self.task = phase, self.bars.add_task(visible(phase), total=None)
        self.bars.update(self.task, completed=done, total=total or None)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        what = TextColumn("{task.description}", markup=False)
        self.bars = Bars(
            what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True
        )
        self.bars.start()


class Attacks:
    """Shows the progress of the attacks on one policy: a live table in a terminal, else a line now and then on stderr.

    A call takes a report of an attack (`verify.attack.Tell`).

    Args:
        policy: the name above the table.
        seconds: the budget.
    """

    def __init__(self, policy: str, seconds: float) -> None:
        self.policy = policy
        self.seconds = seconds
        self.began = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.states: dict[str, tuple[str, str]] = {}
        self._live: Any = None
        self._shown: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, news: News | Finding) -> None:
        from foliolab.framework.verify.finding import Finding

        now = time.monotonic()
        if isinstance(news, Finding):
            message = news.counterexample.message if news.counterexample is not None else news.bound
            self._note(f"{self.policy}: {news.attack}: {news.verdict}: {news.claim or 'every policy'}: {message}")
            return
        rate = f"{news.rate:,.0f} a second" if news.rate else ""
        figures = [f"{news.states:,} states" if news.states else "", f"depth {news.depth}" if news.depth else "", rate]
        self.states[news.attack] = (news.what, ", ".join(filter(None, figures)))
        if self.terminal:
            if now - self._shown.get("", 0.0) >= LIVE:
                self._shown[""] = now
                self._draw(now)
        elif now >= self._due(news.attack):
            self._shown[news.attack] = now
            self._note(f"{self.policy}: {now - self.began:.0f} s: {news.attack}: {': '.join(self.states[news.attack])}")

    def _due(self, attack: str) -> float:
        """When the next line of an attack is due: the first one as early as that of any other long run."""
        return self._shown[attack] + LINES if attack in self._shown else self.began + LONG

    def _note(self, text: str) -> None:
        text = visible(text)
        if self._live is not None:
            self._live.console.print(text, markup=False)
        else:
            sys.stderr.write(f"{text}\n")

    def _draw(self, now: float) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.table import Table
        from rich.text import Text

        if self._live is None:
            # The table is redrawn at each report and not by a thread: attacks are forked, and a fork beside a running
            # thread can inherit a lock that nothing releases.
            console = Console(stderr=True, highlight=False)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_row(Text(visible(self.policy)), f"{now - self.began:.0f} of {self.seconds:.0f} s")
        for attack, (what, figures) in self.states.items():
            table.add_row(f"  {attack}", Text(visible(what)), figures)
        self._live.update(table, refresh=True)
