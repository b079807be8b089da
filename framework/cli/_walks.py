"""What is sent of a run: a counterexample, a scenario, or steps of a pattern or a trace, as a page or a mail."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework import intake
from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.report.walkthrough.runs import Run
    from foliolab.framework.report.walkthrough.walkthrough import Walkthrough
    from foliolab.framework.verify.timeline import Timeline

USUAL: Final = "mm-id"
BEFORE: Final = 24
"""Steps before the first wrong answer of a sharing pattern or a trace that are shown, if no steps are named."""
BEGINNING: Final = 40
"""Steps that are shown where no answer is wrong."""


@dataclass(frozen=True)
class Form:
    """How a walkthrough is sent.

    Args:
        html: the file of the page; None for none.
        mail: whether to print it as a mail.
        perfetto: the file of a trace for Perfetto; None for none.
        selftest: the file of a C program; None for none.
        litmus: the file of a litmus test; None for none.
    """

    html: Path | None
    mail: bool
    perfetto: Path | None = None
    selftest: Path | None = None
    litmus: Path | None = None

    @property
    def wanted(self) -> bool:
        """Whether anything is to be sent."""
        return bool(self.html or self.mail or any(self.files))

    @property
    def files(self) -> tuple[Path | None, ...]:
        """The files of other forms than the page."""
        return self.perfetto, self.selftest, self.litmus

    def write(self, path: Path | None, made: Callable[[], bytes]) -> None:
        """Write a file of another form, if it is wanted."""
        if path:
            from foliolab.framework.document import write_atomically

            write_atomically(path, made())
            if not self.mail:
                _common.put(f"written: {path}\n")

    def send(self, made: Callable[[int], Walkthrough], most_lines: int) -> None:
        """Write the page, print the mail, or both.

        Args:
            made: the walkthrough with so many lines at most.
        """
        if self.html:
            from foliolab.framework.document import write_atomically
            from foliolab.framework.report.walkthrough.html import page

            write_atomically(self.html, page(made, most_lines).encode())
            if not self.mail:
                _common.put(f"written: {self.html}\n")
        if self.mail:
            from foliolab.framework.report.walkthrough.mail import mail

            _common.put(mail(made(most_lines)))


def send_counterexample(timeline: Timeline, file: Path, form: Form) -> None:
    """Send a counterexample; its command names the page, which holds it, or else its file."""
    from foliolab.framework.report import litmus, perfetto
    from foliolab.framework.report.diagram import diagram_of
    from foliolab.framework.report.walkthrough import counterexample as walks

    example = timeline.counterexample
    title = f"{example.policy}: law {example.law}"
    if form.selftest:
        raise UsageError("a counterexample cannot be a C program", "--selftest is for scenarios")
    form.write(form.perfetto, lambda: perfetto.schedule(diagram_of(timeline, unfolded=True), title))
    form.write(form.litmus, lambda: litmus.litmus(timeline, shlex.join(example.stepping(file))).encode())
    form.send(lambda most: walks.walkthrough(timeline, form.html or file, most), walks.MOST_LINES)


@dataclass(frozen=True)
class Wish:
    """What to show of a scenario, a sharing pattern or a trace.

    Args:
        name: a file, or the name of a scenario or a pattern.
        policies: as the user writes them; empty for those of the scenario, or USUAL.
        steps: such as 10-40; empty for all of a scenario, or those before the first wrong answer.
        mms, size, folios: of a pattern.
    """

    name: str
    policies: Sequence[str]
    steps: str
    mms: int
    size: str
    folios: int


def is_run(found: Registry, name: str) -> bool:
    """Whether a name is that of a scenario, a sharing pattern or a trace; a file that is none is a counterexample."""
    if os.path.isfile(name):
        from foliolab.framework.trace.file import is_trace

        return name.endswith(".scenario") or is_trace(intake.head(Path(name), 64))
    return name in found.scenarios or name in found.patterns


def send_run(found: Registry, wish: Wish, plugins: Sequence[Path], form: Form) -> None:
    """Send steps of a scenario, a sharing pattern or a trace.

    Raises:
        UsageError: a policy or a step does not exist.
    """
    from foliolab.framework.report.walkthrough import explored
    from foliolab.framework.report.walkthrough.runs import check_steps

    if form.perfetto:
        if not os.path.isfile(wish.name) or wish.name.endswith(".scenario"):
            raise UsageError(f"{wish.name} is no recording", "--perfetto is for counterexamples and recorded traces")
        from foliolab.framework.report import perfetto
        from foliolab.framework.trace.file import Trace

        form.write(form.perfetto, lambda: perfetto.recording(Trace(wish.name)))
    if form.litmus:
        raise UsageError(f"{wish.name} is no counterexample", "--litmus is for counterexamples with threads")
    if form.selftest:
        _write_selftest(found, wish, form)
    if not form.html and not form.mail:
        return
    run = _run(found, wish)
    try:
        steps = _steps(run, wish.steps)
        check_steps(run, steps, explored.MOST_STEPS)
        walk = explored.walkthrough(run, steps, _command(run, wish, steps, plugins, form))
    finally:
        run.close()
    form.send(lambda most: walk, len(walk.lines))


def _write_selftest(found: Registry, wish: Wish, form: Form) -> None:
    from foliolab.framework.report.selftest import program
    from foliolab.framework.report.walkthrough.runs import ScenarioRun

    run = _run(found, wish)
    try:
        if not isinstance(run, ScenarioRun):
            raise UsageError(f"{wish.name} is no scenario", "--selftest is for scenarios")
        form.write(form.selftest, lambda: program(run.scenario, run.schemes[0]).encode())
    finally:
        run.close()


def _run(found: Registry, wish: Wish) -> Run:
    from foliolab.framework.explore.source import pattern_source, trace_source
    from foliolab.framework.plugins.selection import ANON_ORDERS, parse_sizes
    from foliolab.framework.report.walkthrough.runs import EventsRun, ScenarioRun
    from foliolab.framework.scenario import parser

    if wish.name.endswith(".scenario") or (wish.name in found.scenarios and not os.path.isfile(wish.name)):
        scenario = parser.load(wish.name if os.path.isfile(wish.name) else found.scenario(wish.name))
        from foliolab.framework.kernel.sidebyside import named

        own = list(dict.fromkeys(named(found, scenario).values())) if not wish.policies else []
        return ScenarioRun(scenario, own or _schemes(found, wish))
    if os.path.isfile(wish.name):
        return EventsRun(trace_source(wish.name), _schemes(found, wish))
    orders = parse_sizes(wish.size, [order for order in ANON_ORDERS if order])
    if len(orders) != 1:
        raise UsageError(f"{wish.size!r} names more than one folio size", "choose one")
    source = pattern_source(found.pattern(wish.name), wish.mms, wish.folios, orders[0])
    return EventsRun(source, _schemes(found, wish))


def _schemes(found: Registry, wish: Wish) -> list[Scheme]:
    return found.parse_policies(wish.policies or [USUAL])


def _steps(run: Run, written: str) -> range:
    """The steps that the user names; by default all, or those that lead to the first wrong answer."""
    from foliolab.framework.plugins.selection import parse_ranges
    from foliolab.framework.report.walkthrough.runs import EventsRun

    if written:
        ranges = parse_ranges(written, "steps", "10-40")
        if len(ranges) != 1:
            raise UsageError(f"{written} is not one range of steps", "write --steps 10-40")
        return ranges[0]
    if not isinstance(run, EventsRun):
        return range(run.nr_steps)
    wrong = run.first_wrong()
    return range(max(wrong - BEFORE, 0), wrong) if wrong > 0 else range(min(BEGINNING, run.nr_steps))


def _command(run: Run, wish: Wish, steps: range, plugins: Sequence[Path], form: Form) -> str:
    """The command that makes the same page, or prints the same mail, for whoever has the files."""
    from foliolab.framework.report.walkthrough.runs import EventsRun

    name = Path(wish.name).name if os.path.isfile(wish.name) else wish.name
    words = ["foliolab", "step", name, "--policies", ",".join(scheme.name for scheme in run.schemes)]
    words += ["--steps", f"{steps.start}-{steps.stop - 1}"]
    if isinstance(run, EventsRun) and run.source.kind == "pattern":
        words += ["--mms", str(wish.mms), "--size", wish.size, "--folios", str(wish.folios)]
    words += [word for path in plugins for word in ("--plugin", path.name)]
    return shlex.join([*words, *(["--html", form.html.name] if form.html else ["--mail"])])
