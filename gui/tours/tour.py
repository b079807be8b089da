"""The tours: each has a few stops, and each stop shows a workspace with an explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.gui.tours import choice

if TYPE_CHECKING:
    from foliolab.gui.window.library import Library

HERE: Final = Path(__file__).parent
DAEMON: Final = HERE / "false_shared.scenario"
RACE: Final = HERE / "lost_update.py"


@dataclass(frozen=True)
class Stop:
    """One stop of a tour.

    Args:
        title: a few words.
        text: the explanation.
        workspace: the name of the workspace.
        send: given to the workspace at the first visit of the stop; None for nothing.
        look: the object name of the widget to frame; empty for none.
    """

    title: str
    text: str
    workspace: str
    send: object = None
    look: str = ""


@dataclass(frozen=True)
class Tour:
    """A tour.

    Args:
        name: unique.
        title: a question.
        summary: one sentence.
        stops: makes the stops with the installed policies.
    """

    name: str
    title: str
    summary: str
    stops: Callable[[Library], Sequence[Stop]]


def false_shared(library: Library) -> list[Stop]:
    """A folio that one process maps is called shared."""
    exact, imprecise = choice.exact(library), choice.imprecise(library)
    return [
        Stop(
            "Three processes, one folio",
            "A daemon detaches: a shell forks, the child forks again, and the two parents exit. They share one folio "
            f"of 64 KiB. Two schemes see the same events: {imprecise}, which stores little per folio, and {exact}, "
            "which counts the mappings of every process. Step with the right arrow key.",
            "explore",
            {"file": DAEMON, "policies": [imprecise, exact], "step": 1},
            "explore.maps",
        ),
        Stop(
            "A false shared",
            "The two parents have exited, and only the daemon maps the folio. By the page tables the folio is "
            f"exclusive. {exact} says so. {imprecise} says “shared”: it had no slot for the third process, and "
            "cannot know that only this process is left. Such an error costs time, but it is never unsafe.",
            "explore",
            {"step": 4},
            "explore.verdicts",
        ),
        Stop(
            "What it costs",
            "In the next step the daemon writes. A page of a folio that is known to be exclusive is reused; a page of "
            "a folio that may be shared is copied. The table below shows how the two schemes differ.",
            "explore",
            {"step": 6},
        ),
        Stop(
            "The opposite error is unsafe",
            "If a scheme calls a folio exclusive that two processes map, one process sees the writes of the other. So "
            "a scheme may call an exclusive folio shared, but never a shared folio exclusive. The matrix on the home "
            "screen shows how often each scheme errs. The tour “How is a race found?” shows how an unsafe scheme "
            "is found.",
            "compare",
        ),
    ]


def page_mapcounts(library: Library) -> list[Stop]:
    """What a counter in every page costs."""
    heavy, light = choice.with_page_mapcounts(library), choice.without_page_mapcounts(library)
    return [
        Stop(
            "A counter in every page",
            f"{heavy} counts the mappings of every page; {light} keeps only totals for the folio. A folio of 2 MiB has "
            "512 pages, so unmapping it changes 512 more counters, each with an atomic operation. Both schemes are "
            "now measured: munmap of the same memory, in folios of growing size.",
            "benchmark",
            {"policies": [heavy, light], "workloads": ["munmap"], "quick": True, "start": True},
            "benchmark.curves",
        ),
        Stop(
            "The curve",
            "The folio size grows from left to right. Without counters in the pages a large folio costs hardly more "
            "than a small one, so the time per page falls; with counters it does not. The bars are 95 % intervals: "
            "a difference that is smaller than the bars is not significant.",
            "benchmark",
            None,
            "benchmark.curves",
        ),
        Stop(
            "Counted, not timed",
            "Times depend on the host. The numbers of atomic operations, stores and loads per page do not: the same "
            "run counts them exactly.",
            "benchmark",
            None,
            "benchmark.counted",
        ),
    ]


def race(library: Library) -> list[Stop]:
    """The verifier finds a race."""
    return [
        Stop(
            "A scheme with a mistake",
            "This file contains a whole scheme: the first MM that maps a folio becomes its owner, and a second MM "
            "marks the folio as shared. Read the function take: between the load of the owner and the store, another "
            "thread may do the same. Would you have seen this in a review?",
            "policies",
            RACE,
        ),
        Stop(
            "Every interleaving",
            "The verifier runs the same text on two to four threads, in every possible order of their memory accesses. "
            "In less than a second it finds an order after which the scheme calls a folio exclusive that two "
            "processes map.",
            "verify",
            {"policy": "lost-update", "start": True},
        ),
        Stop(
            "The shortest counterexample",
            "Each thread is a lane, each access is a mark, and time runs downwards. Step with the arrow keys: both "
            "threads read that the folio has no owner, both store their own ID, and neither marks the folio as "
            "shared. No shorter counterexample exists.",
            "verify",
            None,
            "verify.sequence",
        ),
        Stop(
            "Repair it",
            "Open the file in your editor (Policies, Open in editor), take a lock in the function take, and save. The "
            "window compiles and checks the file after each save. The verifier then finds out whether the lock is "
            "enough.",
            "policies",
        ),
    ]


TOURS: Final = (
    Tour("false-shared", "What is a false shared?", "One process maps a folio, and the scheme still says “shared”.",
         false_shared),
    Tour("page-mapcounts", "Why do per-page mapcounts cost?", "The same munmap with and without a counter in every "
         "page, measured on this host.", page_mapcounts),
    Tour("race", "How is a race found?", "A scheme with a mistake, and the shortest interleaving that shows it.",
         race),
)  # fmt: skip
