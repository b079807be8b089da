"""A session that does everything in the window once, while a heartbeat notes how long each event keeps the loop."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from heartbeat import Heartbeat

RACE: Final = Path(__file__).parents[2] / "gui" / "tours" / "lost_update.py"
SCENARIO: Final = Path(__file__).parents[2] / "gui" / "tours" / "false_shared.scenario"
CHAPTERS: Final = ("compare", "policies", "explore", "trace", "benchmark", "verify", "leave")
"""Methods of `Session`, in their order."""
POLICIES: Final = ("mm-id", "page-mapcount", "no-page-mapcount", "exact")
MOST: Final = 100.0
"""Milliseconds that one event may keep the loop."""
PATIENCE: Final = 180.0
REST: Final = 0.25
"""Seconds of the loop after each action, so that what it began is counted as its."""


class Vain(Exception):
    """What a chapter waited for did not come."""


class Session:
    """The session.

    Args:
        window: a window that is shown, without anything opened.
        until: lets the window live until something holds, for at most so many seconds.
    """

    def __init__(self, window: Any, until: Callable[[Callable[[], bool], float], None]) -> None:
        self.window = window
        self.heartbeat = Heartbeat()
        self.folder = Path()
        self._until = until

    @contextmanager
    def doing(self, action: str) -> Iterator[None]:
        """Name what is done, and let the window live for a moment afterwards."""
        self.heartbeat.action = action
        yield
        self._until(lambda: False, REST)

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until something holds.

        Raises:
            Vain: it does not come.
        """
        self._until(done, PATIENCE)
        if not done():
            notices = [one.text for one in self.window.notices.all]
            raise Vain(f"waited for {what} in vain; notices: {notices}")

    def run(self, chapters: Sequence[str] = CHAPTERS) -> Heartbeat:
        """Do these chapters once; what one waits for in vain is printed, and the next one begins."""
        self.heartbeat.start()
        with tempfile.TemporaryDirectory() as folder:
            self.folder = Path(folder)
            for chapter in chapters:
                try:
                    getattr(self, chapter)()
                except Vain as fault:
                    print(f"  {chapter}: {fault}", flush=True)
        with self.doing("close the window"):
            self.window.close()
        self.heartbeat.stop()
        return self.heartbeat

    def trigger(self, *names: str) -> None:
        """Trigger commands, one event each."""
        for name in names:
            with self.doing(name):
                self.window.commands.trigger(name)

    def compare(self) -> None:
        """The home screen: all rows, evidence, baseline, one cell measured."""
        with self.doing("go to Compare"):
            self.window.go("compare")
        here = self.window.here
        self.wait("the answers of the home screen", lambda: not here.rows.pending)
        self.trigger("compare.rows", "compare.evidence", "compare.baseline", "compare.rows")
        with self.doing("sort the matrix"):
            here.view.header.sectionClicked.emit(2)
        with self.doing("measure a cell"):
            here.measuring.measure_chosen()
            self.wait("the measured cell", lambda: not here.queue.running)

    def policies(self) -> None:
        """A file with a policy is opened and checked; every policy is looked at."""
        with self.doing("open a policy file"):
            self.window.go("policies")
            self.window.open(RACE)
        self.wait("the policy of the file", lambda: bool(self.window.library.usable(["lost-update"])))
        here = self.window.here
        for policy in self.window.library.policies:
            with self.doing(f"look at {policy.name}"):
                here.tree.choose(policy.name)
        self.trigger("policies.check")
        self.wait("the check", lambda: not self.window.jobs.running)

    def explore(self) -> None:
        """A scenario and a pattern: play, step, zoom, inspect, jump."""
        with self.doing("open a scenario"):
            self.window.open(SCENARIO)
            self.wait("the scenario", lambda: self.window.here.facts is not None)
        here = self.window.here
        with self.doing("explore a pattern"):
            here.receive({"pattern": "snapshot", "policies": list(POLICIES), "mms": 8, "span": 16 << 20, "order": 4})
            self.wait("the pattern", lambda: here.facts is not None and here.run.view is not None)
        with self.doing("play at full speed"):
            here.run_bar.speed.setCurrentIndex(here.run_bar.speed.count() - 1)
            here.controls.toggle()
            self._until(lambda: False, 3.0)
        self.trigger("explore.play", "explore.back", "explore.step", "explore.next", "explore.previous")
        with self.doing("inspect a page"):
            here.inspecting.pick(0, 0, 3)
        self.trigger("explore.access", "explore.unaccess", "explore.truth", "explore.truth")
        self.trigger("explore.in", "explore.in", "explore.in", "explore.in", "explore.in", "explore.fit")
        with self.doing("all maps side by side"):
            here.maps.tabs.setCurrentIndex(0)
        for position in (here.facts.nr_steps // 2, here.facts.nr_steps // 3, 1, here.facts.nr_steps):
            with self.doing("jump"):
                here.controls.goto(position)
                self.wait("the jump", lambda position=position: here.run.view.position == position)  # type: ignore[misc]
        with self.doing("search the steps"):
            self.window.palette_.ask()
            self.window.palette_.entry.setText("write")
        with self.doing("close the palette"):
            self.window.palette_.close()

    def trace(self) -> None:
        """A recorded trace, with its answer."""
        file = self.folder / "server.folio"
        write_trace(file)
        with self.doing("open a trace"):
            self.window.open(file)
            self.wait("the trace", lambda: self.window.here.facts is not None)
        self.wait("its answer", lambda: not self.window.jobs.running)

    def benchmark(self) -> None:
        """A quick comparison, and every way to show it."""
        with self.doing("go to Benchmark"):
            self.window.go("benchmark")
        here = self.window.here
        with self.doing("measure a quick comparison"):
            here.example()
            self.wait("the comparison", lambda: here.job is None and here.result is not None)
        self.trigger("benchmark.scale", "benchmark.published", "benchmark.scale")

    def verify(self) -> None:
        """A policy with a race is refuted, and its counterexample stepped through."""
        with self.doing("verify"):
            self.window.send("verify", {"policy": "lost-update", "seconds": 60, "start": True})
            here = self.window.here
            self.wait("the verdicts", lambda: here.attacks.job is None and here.attacks.done is not None)
        shown = here.shown_example
        self.wait("the counterexample", lambda: shown.stepper is not None and shown.stepper.timeline is not None)
        self.trigger("verify.first", "verify.on", "verify.on", "verify.last", "verify.back")

    def leave(self) -> None:
        """What one has found leaves the window: a page, a picture of each kind, a session that is opened again."""
        folder = self.folder
        with self.doing("share a page"):
            what = self.window.here.shareable()
            self.window.outputs.share(what, folder / "found.html")
            self.wait("the page", lambda: (folder / "found.html").exists() and not self.window.jobs.running)
        for name in self.window.workspaces:
            with self.doing(f"go to {name}"):
                self.window.go(name)
            for what in self.window.here.exportables():
                for suffix in ("svg", "png", *(["csv"] if what.table is not None else [])):
                    with self.doing(f"export {what.name} as {suffix}"):
                        self.window.outputs.export(what, folder / f"{name}-{what.name}.{suffix}")
            self.trigger("file.command", "edit.bookmark", "view.theme", "view.theme")
        with self.doing("save the session"):
            self.window.sessions.save(folder / "x.folio-session")
        with self.doing("open the session"):
            self.window.open(folder / "x.folio-session")
        self.trigger("file.recent", "help.shortcuts", "view.history")
        with self.doing("resize"):
            self.window.resize(1280, 720)
            self.window.resize(640, 480)
        with self.doing("resize back"):
            self.window.resize(1600, 1000)


def write_trace(path: Path) -> None:
    """A server of 32 folios of 64 KiB whose workers, one after the other, write a page of each and end."""
    from foliolab.framework.trace import events as ev
    from foliolab.framework.trace.file import Writer
    from foliolab.framework.trace.header import Header

    rows = [(ev.NEW, 1, 0x400 + 16 * folio, 4, 16) for folio in range(32)]
    for worker in range(2, 202):
        rows.append((ev.FORK, 1, 0, 0, worker))
        rows += [(ev.WRITE, worker, 0x400 + 16 * folio, 0, 0) for folio in range(32)]
        rows.append((ev.EXIT, worker, 0, 0, 0))
    kind, mm, page, order, other = zip(*rows, strict=True)
    times = [1_000_000 * at for at in range(len(rows))]
    flags = [ev.COPIED if one == ev.WRITE else 0 for one in kind]
    with Writer(path, Header(source="perf", kernel="6.18.0")) as writer:
        writer.append(ev.columns(time=times, kind=kind, mm=mm, page=page, order=order, other=other, flags=flags))


def report(heartbeat: Heartbeat) -> str:
    """The longest events, and how many took longer than MOST, by the clock and by their thread's processor time."""
    longest = heartbeat.longest(12)
    if not longest:
        return "  longest event     none above 40 ms"
    busiest = sorted(heartbeat.gaps, key=lambda gap: -gap.used)[:12]
    long = sum(1000 * gap.seconds > MOST for gap in heartbeat.gaps)
    busy = sum(1000 * gap.used > MOST for gap in heartbeat.gaps)
    lines = [
        f"  longest event     {1000 * longest[0].seconds:8.0f} ms by the clock; {long} above {MOST:g} ms",
        f"                    {1000 * busiest[0].used:8.0f} ms of its thread; {busy} above {MOST:g} ms",
    ]
    shown = sorted({id(gap): gap for gap in (*busiest, *longest)}.values(), key=lambda gap: -gap.used)
    return "\n".join([*lines, *(f"    {gap.text}" for gap in shown)])
