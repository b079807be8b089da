"""The tours, with the texts of their stops."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework.errors import FolioLabError
from foliolab.gui.tours import choice
from foliolab.gui.tours.stop import Seen, Stop, Tour, runs, sends

if TYPE_CHECKING:
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.library import Library

HERE: Final = Path(__file__).parent
DAEMON: Final = HERE / "false_shared.scenario"
RACE: Final = HERE / "lost_update.py"
RACING: Final = "lost-update"
"""The policy of RACE."""
LOCKING: Final = "    take(folio, mm)\n", "    lock(folio)\n    take(folio, mm)\n    unlock(folio)\n"
"""What repairs RACE: a line, and what stands there afterwards."""


def repaired(text: str) -> str:
    """The text of RACE with the lock that is missing."""
    before, after = LOCKING
    return text if after in text else text.replace(before, after, 1)


def false_shared(library: Library, example: Path) -> list[Stop]:
    """A folio that one process maps is called shared."""
    exact, imprecise = choice.exact(library), choice.imprecise(library)
    opens = {"file": example, "policies": [imprecise, exact]}

    def reached(step: int, seen: Seen) -> bool:
        position = seen["position"]
        return isinstance(position, int) and position >= step

    return [
        Stop(
            "Three processes, one folio",
            "A daemon detaches: a shell forks, its child forks again, and both parents exit. They share one folio of "
            f"64 KiB. Two policies see the same events: “{imprecise}”, which stores little per folio, and “{exact}”, "
            "which counts the mappings of every process. Press “Step” twice: now three processes map the folio.",
            "explore", opens | {"step": 0}, partial(reached, 2), sends("explore", {"step": 2}), "explore.maps",
        ),
        Stop(
            "A false shared",
            "Press “Next wrong”. Both parents have exited, and only the daemon maps the folio: by the page tables it "
            f"is exclusive. {exact} says so, but {imprecise} does not: it had no slot for the third process, and "
            "cannot know that only this process is left. The policy and the page that are wrong are chosen: see "
            "“false shared” beside the maps, and the “▲ 1” in the table below them. Such an error costs time, but it "
            "is never unsafe.",
            "explore", opens | {"step": 2, "counter": "False shared"},
            lambda seen: seen["inspected"] == (imprecise, "false shared"),
            sends("explore", {"step": 4, "wrong": True}), "explore.verdicts",
        ),
        Stop(
            "Why?",
            f"“Why does {imprecise} say maybe shared?” lists what the policy read for its answer. Press “Go to the "
            "step that set it”: it was the second fork, when the third process mapped the folio.",
            "explore", opens | {"step": 4, "wrong": True}, lambda seen: seen["position"] in (1, 2, 3),
            runs("explore", "origin"), "explore.why",
        ),
        Stop(
            "What it costs",
            "Press “Step”: the daemon writes. A page of a folio that is known to be exclusive is reused; a page of a "
            f"folio that may be shared is copied. “Wrong copies” counts what {imprecise} copied for nothing.",
            "explore", opens | {"step": 4, "counter": "Wrong copies"}, partial(reached, 5),
            sends("explore", {"step": 5}), "explore.verdicts",
        ),
        Stop(
            "The opposite error is unsafe",
            "If a policy calls a folio exclusive that two processes map, one process sees the writes of the other. So "
            "a policy may call an exclusive folio shared, but never a shared folio exclusive. How often each policy "
            f"errs is one of the questions of the home screen. Click the cell of “{imprecise}” under “Precise” for "
            "the evidence. The tour “How is a race found?” shows how an unsafe policy is found.",
            "compare", {}, lambda seen: seen["evidence"] == ("precise", imprecise),
            sends("compare", {"policy": imprecise, "question": "precise"}), "compare.matrix",
        ),
    ]  # fmt: skip


def page_mapcounts(library: Library, example: Path) -> list[Stop]:
    """What a counter in every page costs."""
    heavy, light = choice.with_page_mapcounts(library), choice.without_page_mapcounts(library)
    opens = {"policies": [heavy, light], "baseline": heavy, "workloads": ["munmap"], "sizes": "16K,64K,256K,2M",
             "memory": "64M", "quick": True}  # fmt: skip

    def measured(seen: Seen) -> bool:
        return seen["measured"] == (heavy, light)

    return [
        Stop(
            "A counter in every page",
            f"“{heavy}” counts the mappings of every page; “{light}” keeps only totals for the folio. A folio of 2 MiB "
            "has 512 pages, so unmapping it changes 512 more counters, each with an atomic operation. Press “Measure” "
            "on the tool bar: munmap of the same memory is measured in folios of growing size.",
            "benchmark", opens, measured, sends("benchmark", opens | {"start": True}), "benchmark.controls",
        ),
        Stop(
            "The curve",
            f"The folio size grows from left to right, {heavy} is 1. Choose “nanoseconds per page” above the curves. "
            "In large folios the work that is done once for each folio weighs less, so the time per page falls. It "
            f"falls further with {light}, which has no counter to change for each page. The bars are 95 % intervals: a "
            "difference that is smaller than the bars is not significant.",
            "benchmark", opens | {"start": True}, lambda seen: measured(seen) and not seen["ratio"],
            runs("benchmark", "scale"), "benchmark.curves", measured,
        ),
        Stop(
            "Counted, not timed",
            "Times depend on the host. The numbers of atomic operations, stores and loads per page do not: the same "
            "run counted them exactly. The bars below the curves show them for each policy.",
            "benchmark", opens | {"start": True}, measured, None, "benchmark.counted", measured,
        ),
    ]  # fmt: skip


def race(library: Library, example: Path) -> list[Stop]:
    """The verifier finds a race, and a repair."""

    def refuted(seen: Seen) -> bool:
        return seen["example"] == (RACING, "safe")

    return [
        Stop(
            "A policy with a mistake",
            "This file has a whole policy: the first MM that maps a folio becomes its owner, and a second MM marks the "
            "folio as shared. Click “Source”, and read the function take: between the load of the owner and the "
            "store, another thread may do the same. Would you have seen this in a review?",
            "policies", {"policy": RACING, "tab": "about", "function": "take"},
            lambda seen: seen["policy"] == RACING and seen["tab"] == "source",
            sends("policies", {"policy": RACING, "tab": "source", "function": "take"}), "policies.details",
        ),
        Stop(
            "Every interleaving",
            "The verifier runs the same text on two to four threads, in every possible order of their memory accesses. "
            "Press “Verify” on the tool bar. Soon it finds an order after which the policy calls a folio exclusive "
            "that two processes map: “✗ refuted: safe”.",
            "verify", {"policy": RACING}, refuted, sends("verify", {"policy": RACING, "start": True}), "verify.cards",
        ),
        Stop(
            "The counterexample",
            "Press “Stop” on the tool bar: this refutation is enough. Each thread is a lane, each access is a mark, "
            "and time runs downwards. The arrow keys step. Press the key “End”: two threads have read that the folio "
            "has no owner, both have stored their own ID, and neither has marked the folio as shared. At the right "
            "stands why the policy says “exclusive”.",
            "verify", {"policy": RACING, "start": True}, lambda seen: refuted(seen) and seen["ended"] is True,
            runs("verify", "stop", "last"), "verify.sequence", refuted,
        ),
        Stop(
            "Repair it",
            "The function remove_ptes takes the lock, and added does not. Press “Open in editor”: your editor opens a "
            "copy that is yours to change. In it, write “lock(folio)” above “take(folio, mm)”, and write "
            "“unlock(folio)” below “take(folio, mm)”; save it. The window compiles it and attacks it for a few "
            "seconds; then the list says “✓ checked”. F5 in Verify attacks it for longer.",
            "policies", {"policy": RACING, "tab": "source", "function": "added"},
            lambda seen: seen["checked"] == (RACING, "checked") and _text(example) != _text(RACE),
            partial(_repair, example), "policies.details",
        ),
    ]  # fmt: skip


def _text(path: Path) -> str:
    """The text of a file, also while an editor writes it."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _repair(example: Path, desk: Desk) -> None:
    """Write the repaired text to the copy."""
    try:
        example.write_text(repaired(_text(example) or _text(RACE)), encoding="utf-8")
    except OSError as fault:
        raise FolioLabError(f"{example} cannot be written: {fault}", "make room or rights in its folder") from fault


TOURS: Final = (
    Tour("false-shared", "What is a false shared?", "One process maps a folio, and a policy still says that it may be "
         "shared.", false_shared, lambda library: (choice.imprecise(library), choice.exact(library)), DAEMON),
    Tour("page-mapcounts", "Why do per-page mapcounts cost?", "The same munmap with and without a counter in every "
         "page, measured on this host.", page_mapcounts,
         lambda library: (choice.with_page_mapcounts(library), choice.without_page_mapcounts(library))),
    Tour("race", "How is a race found?", "A policy with a mistake, an interleaving that shows it, and a "
         "repair.", race, lambda library: (RACING,), RACE, repaired),
)  # fmt: skip
