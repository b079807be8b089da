"""What Benchmark shows, as a session keeps it: the choices, the result, and what of it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from foliolab.framework.document import Count, Name
from foliolab.gui.window.session_file import Digest, Files, State

if TYPE_CHECKING:
    from foliolab.framework.results.result import Result
    from foliolab.gui.benchmark.controls import Controls
    from foliolab.gui.benchmark.views import Views
    from foliolab.gui.widgets.interval import Interval

Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=1000)]


class BenchmarkState(State, frozen=True, kw_only=True):
    """The state.

    Attributes:
        policies, workloads, baseline, sizes, memory, rounds, quick, cpu: see `Wish`.
        result: the digest of its file; empty for none.
        smallest, largest: the folio sizes that are shown, in KiB; 0 and 0 for all.
        workload, against, absolute, rest, published: what of it is shown, see `Views`.
    """

    policies: Names
    workloads: Names
    baseline: Name
    sizes: Name
    memory: Name
    rounds: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    quick: bool = True
    cpu: Name = ""
    result: Digest = ""
    smallest: Count = 0
    largest: Count = 0
    workload: Name = ""
    against: Name = ""
    absolute: bool = False
    rest: bool = False
    published: bool = True


class Shown(Protocol):
    """What is needed of the workspace; a protocol, because the workspace imports this module."""

    controls: Controls
    views: Views
    result: Result | None
    part: Interval


def state_of(workspace: Shown, files: Files) -> BenchmarkState:
    """What a session keeps of the workspace as it is now."""
    wish, views, result = workspace.controls.wish(), workspace.views, workspace.result
    return BenchmarkState(
        policies=wish.policies, workloads=wish.workloads, baseline=wish.baseline, sizes=wish.sizes,
        memory=wish.memory, rounds=wish.rounds, quick=wish.quick, cpu=wish.cpu,
        result=files.keep("result.json", result.encoded()) if result is not None else "",
        smallest=0 if workspace.part.whole else 1 << workspace.part.low,
        largest=0 if workspace.part.whole else 1 << workspace.part.high,
        workload=views.workload.currentText(), against=views.baseline.currentText(),
        absolute=views.scale.currentIndex() == 1, rest=views.rest.currentIndex() == 1,
        published=views.published.isChecked(),
    )  # fmt: skip


def show(workspace: Shown, state: BenchmarkState) -> None:
    """Set the choices of the panel, and what of the result is shown."""
    controls, views = workspace.controls, workspace.views
    controls.choose(
        {
            "policies": state.policies,
            "workloads": state.workloads,
            "baseline": state.baseline,
            "sizes": state.sizes,
            "memory": state.memory,
            "quick": state.quick,
            "cpu": state.cpu,
        }
    )
    controls.rounds.setValue(state.rounds)
    if state.workload:
        views.workload.setCurrentText(state.workload)
    if state.against:
        views.baseline.setCurrentText(state.against)
    views.scale.setCurrentIndex(int(state.absolute))
    views.rest.setCurrentIndex(int(state.rest))
    views.published.setChecked(state.published)
    if state.largest:
        workspace.part.see(state.smallest.bit_length() - 1, state.largest.bit_length() - 1)
    else:
        workspace.part.fit()
