"""Where two runs differ: every aspect is seen, and nothing is where nothing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foliolab.framework.scenario.difference import Difference, differences
from foliolab.framework.scenario.record import FAULTED, UNCOUNTED, UNKNOWN, Record, View
from foliolab.framework.scenario.syntax import Pages, ScenarioStep

STEP = ScenarioStep(process="A", action="write", pages=Pages("heap", 3, 4))


def view(frames: list[int], counts: list[int] | None = None, exclusive: list[int] | None = None) -> View:
    pages = np.array(frames)
    return View(
        pages,
        np.array(counts or [int(frame >= 0) for frame in frames]),
        np.array(exclusive or [0] * len(frames)),
        np.zeros(len(frames), np.bool_),
        np.full(len(frames), UNKNOWN),
    )


def record(**changes: object) -> Record:
    made = Record(
        STEP, outcomes=("copied", "reused"), large=(True, False), views={"A": view([7, -1, 9]), "B": view([7, 8, -1])}
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def first(model: Record, kernel: Record) -> Difference | None:
    return next(differences([model], [kernel]), None)


def test_equal_records_differ_nowhere_whatever_the_frames_are_called() -> None:
    other = record(views={"A": view([70, -1, 90]), "B": view([70, 80, -1])})
    assert first(record(), other) is None


def test_an_outcome() -> None:
    found = first(record(), record(outcomes=("reused", "reused")))
    assert found is not None
    assert (found.aspect, found.page, found.model, found.kernel, found.large) == (
        "outcome", 0, "copied", "reused", True,
    )  # fmt: skip
    assert found.what == "page 3: model copied, kernel reused"
    small = first(record(), record(outcomes=("copied", "copied"), causes=("", "a batch")))
    assert small is not None and not small.large and small.cause == "a batch" and small.page == 1


def test_presence_identity_counts_and_bit_56() -> None:
    absent = first(record(), record(views={"A": view([7, -1, -1]), "B": view([7, 8, -1])}))
    assert absent is not None and absent.aspect == "presence" and "A, page 2" in absent.what
    split = first(record(), record(views={"A": view([7, -1, 9]), "B": view([6, 8, -1])}))
    assert split is not None and split.aspect == "identity"
    joined = first(record(), record(views={"A": view([7, -1, 9]), "B": view([7, 9, -1])}))
    assert joined is not None and joined.aspect == "identity"
    counted = first(record(), record(views={"A": view([7, -1, 9], [2, 0, 1]), "B": view([7, 8, -1])}))
    assert counted is not None and counted.aspect == "kpagecount" and "model 1, kernel 2" in counted.what
    marked = first(record(), record(views={"A": view([7, -1, 9], None, [0, 0, 1]), "B": view([7, 8, -1])}))
    assert marked is not None and marked.aspect == "bit 56"


def test_bit_56_below_a_pmd_is_the_head_pages_and_is_not_compared() -> None:
    below = replace(view([7, -1, 9]), pmd=np.array([True, True, True]))
    assert first(record(views={"A": below}), record(views={"A": view([7, -1, 9], None, [1, 0, 1])})) is None


def test_an_answer() -> None:
    found = first(record(answer="split"), record(answer="kept"))
    assert found is not None and found.aspect == "answer" and "model split, kernel kept" in found.what


def test_with_hidden_frames_faults_and_the_population_are_witnesses() -> None:
    hidden = record(
        outcomes=(FAULTED, FAULTED), views={"A": view([0, -1, 0]), "B": view([0, 0, -1])}, hidden=True, population=2
    )
    assert first(record(population=2), hidden) is None
    found = first(record(population=1), hidden)
    assert found is not None and found.aspect == "population"
    assert first(record(population=1), replace(hidden, population=UNCOUNTED)) is None
    untouched = first(record(population=2), replace(hidden, outcomes=("unchanged", FAULTED)))
    assert untouched is not None and untouched.aspect == "outcome"


def test_after_a_difference_later_steps_are_compared_by_what_they_did() -> None:
    apart = {"A": view([6, -1, 9]), "B": view([7, 8, -1])}
    kernel = [
        record(outcomes=("reused", "reused"), views=apart),
        record(views=apart),
        record(outcomes=("copied", "copied"), views={"A": view([6, -1, 9]), "B": view([7, -1, -1])}),
        record(views={"A": view([6, -1, 9]), "B": view([7, 8, 1])}),
    ]
    found = [(one.number, one.aspect) for one in differences([record()] * 4, kernel)]
    assert found == [(0, "outcome"), (0, "identity"), (2, "outcome"), (2, "presence"), (3, "presence")]
