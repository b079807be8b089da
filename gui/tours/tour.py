"""What a tour is: a few stops, each a workspace with something in it and a few sentences beside it."""

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
        text: what to look at, in plain sentences.
        workspace: where it is.
        send: what it is sent when the reader comes here for the first time; None: nothing.
        look: object name of the widget or dock to look at; empty: the whole workspace.
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
        title: a question, as it stands on its card.
        summary: one sentence.
        stops: makes the stops for what is installed.
    """

    name: str
    title: str
    summary: str
    stops: Callable[[Library], Sequence[Stop]]


def false_shared(library: Library) -> list[Stop]:
    """One process maps a folio, and the kernel calls it shared."""
    exact, imprecise = choice.exact(library), choice.imprecise(library)
    return [
        Stop(
            "Three processes, one folio",
            "A shell forks, its child forks again, and both exit: that is how a daemon detaches. They share one folio "
            f"of 64 KiB. Two schemes watch the same events: {imprecise}, which keeps little per folio, and {exact}, "
            "which counts every process. Step with the right arrow key.",
            "explore",
            {"file": DAEMON, "policies": [imprecise, exact], "step": 1},
            "explore.maps",
        ),
        Stop(
            "A false shared",
            "Both others are gone now, and the daemon alone maps the folio: the truth, taken from the page tables, is "
            f"“exclusive”. {exact} says so. {imprecise} says “shared”: it had no room for the third process and "
            "cannot know that it is the only one left. That costs speed, never correctness.",
            "explore",
            {"step": 4},
            "explore.verdicts",
        ),
        Stop(
            "What it costs",
            "Step once more: the daemon writes. A folio known to be exclusive is written to in place; one that may be "
            "shared is copied, page by page. Look at what differs between the two schemes below.",
            "explore",
            {"step": 6},
        ),
        Stop(
            "The opposite is never allowed",
            "Calling a folio exclusive that two processes map is “unsafe”: one would see the other's writes. A scheme "
            "may err to one side only. The matrix on the home screen says, per scheme, how often it errs; "
            "the next tour but one shows how an unsafe scheme is found out.",
            "compare",
        ),
    ]


def page_mapcounts(library: Library) -> list[Stop]:
    """Why a counter in every page costs."""
    heavy, light = choice.with_page_mapcounts(library), choice.without_page_mapcounts(library)
    return [
        Stop(
            "A counter in every page",
            f"{heavy} counts the mappings of every single page; {light} keeps only totals for the folio. A folio of "
            "2 MiB has 512 pages, so unmapping it means 512 more counters to change, each an atomic operation. "
            "Both are being measured now: munmap of the same memory, in folios of growing size.",
            "benchmark",
            {"policies": [heavy, light], "workloads": ["munmap"], "quick": True, "start": True},
            "benchmark.curves",
        ),
        Stop(
            "The curve",
            "From left to right folios grow. Where there is no counter in the pages, a large folio costs hardly more "
            "than a small one, so the time per page falls; with counters it stays. The bars are the uncertainty of "
            "the measurement: differences smaller than they are none.",
            "benchmark",
            None,
            "benchmark.curves",
        ),
        Stop(
            "Counted, not timed",
            "Times depend on the machine. What does not: how many atomic operations and cache lines each page takes. "
            "These are counted exactly, in the same run.",
            "benchmark",
            None,
            "benchmark.counted",
        ),
    ]


def race(library: Library) -> list[Stop]:
    """How a race is found."""
    return [
        Stop(
            "A scheme with a mistake",
            "This is a whole scheme in one file: whoever maps a folio first becomes its owner, and a second one marks "
            "it as shared. Read the function take: between the load of the owner and the store somebody else may do "
            "the same. Would you have seen it in review?",
            "policies",
            RACE,
        ),
        Stop(
            "Every interleaving",
            "The verifier runs the same text on two to four threads, one access at a time, in every possible order. "
            "It needs well under a second to find an order in which the scheme calls a folio exclusive that two "
            "processes map.",
            "verify",
            {"policy": "lost-update", "start": True},
        ),
        Stop(
            "The shortest one",
            "Each thread is a lane, each access a mark, time runs down. Step with the arrow keys: both threads read "
            "that nobody owns the folio, both write their own ID, and nobody marks it as shared. It is a shortest "
            "counterexample: nothing in it can be left out.",
            "verify",
            None,
            "verify.sequence",
        ),
        Stop(
            "Mend it",
            "Open the file in your editor (Policies, Open in editor), hold a lock in take, and save. The window "
            "compiles and checks it again by itself. The verifier then says whether the lock is enough.",
            "policies",
        ),
    ]


TOURS: Final = (
    Tour("false-shared", "What is a false shared?", "One process is left, and the kernel still says “shared”.",
         false_shared),
    Tour("page-mapcounts", "Why do per-page mapcounts cost?", "The same munmap with and without a counter in every "
         "page, measured here and now.", page_mapcounts),
    Tour("race", "How is a race found?", "A scheme with a mistake, and the shortest interleaving that shows it.",
         race),
)  # fmt: skip
