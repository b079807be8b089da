"""The states that a page of a policy draws: what the policy claims is true in them, and the picture shows all."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from foliolab.framework.plugins.registry import load

states = pytest.importorskip("foliolab_docs.states", reason="the extra `docs` is not installed")
picture = pytest.importorskip("foliolab_docs.picture")
layered = pytest.importorskip("foliolab_docs.layered")

POLICIES = load().policies
COURSES = (states.TWO, states.THREE)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("course", COURSES, ids=["two", "three"])
@pytest.mark.parametrize("name", POLICIES)
def test_claims_hold_in_every_state(name: str, course: object) -> None:
    scheme = POLICIES[name].with_parameters()
    graph = states.explored(scheme, course)
    assert graph.complete
    verdicts = {one.verdict for one in graph.states}
    assert {"", "exclusive"} <= verdicts
    if "safe" in scheme.capabilities:
        assert "unsafe: exclusive" not in verdicts
    if "exact" in scheme.capabilities or ("exact-for-two" in scheme.capabilities and course == states.TWO):
        assert "false shared" not in verdicts


def test_two_slots_are_wrong_about_the_third_process_alone() -> None:
    graph = states.explored(POLICIES["mm-id"].with_parameters(), states.THREE)
    (wrong,) = [one for one in graph.states if one.verdict == "false shared"]
    assert wrong.living == [2]
    assert dict(wrong.fields)["_mm_ids"] == "id0=0 id1=0 shared"


@pytest.mark.parametrize("course", COURSES, ids=["two", "three"])
def test_every_operation_is_tried_in_every_state(course: object) -> None:
    graph = states.explored(POLICIES["exact"].with_parameters(), course)
    tried = {(one.source, one.operation) for one in graph.transitions}
    assert len(tried) == len(graph.transitions), "an operation leads to two states"
    for number, state in enumerate(graph.states):
        for mm in state.living:
            assert (number, f"{states.NAMES[mm]} exits") in tried
    reached = {0} | {one.target for one in graph.transitions}
    assert reached == set(range(len(graph.states)))
    # with the page tables told apart and nothing forgotten by the policy, the states are those of the page tables
    assert len({one.mapped for one in graph.states}) == len(graph.states)


def test_a_sequence_number_does_not_make_states_endless() -> None:
    graph = states.explored(POLICIES["rmap-id"].with_parameters(), states.TWO)
    assert graph.left_out == ("_rmap_atomic_seqcount",)


def test_a_graph_that_is_too_large_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "MOST_STATES", 4)
    graph = states.explored(POLICIES["exact"].with_parameters(), states.TWO)
    assert not graph.complete
    assert len(graph.states) == 4
    assert all(max(one.source, one.target) < 4 for one in graph.transitions)


@pytest.mark.parametrize("course", COURSES, ids=["two", "three"])
@pytest.mark.parametrize("name", POLICIES)
def test_the_picture_shows_all_of_it(name: str, course: object) -> None:
    graph = states.explored(POLICIES[name].with_parameters(), course)
    drawn = ElementTree.fromstring(picture.svg(graph, "a title"))
    assert drawn.get("aria-label") == "a title"
    _, _, wide, high = map(float, str(drawn.get("viewBox")).split())
    texts = [str(one.text) for one in drawn.iter(f"{SVG}text")]
    pairs = {(one.source, one.target) for one in graph.transitions}
    assert len([one for one in drawn.iter(f"{SVG}path") if one.get("marker-end")]) == len(pairs)
    words = [word for text in texts for word in text.split(", ")]
    assert sorted(one.operation for one in graph.transitions) == sorted(
        word for word in words if re.fullmatch(r"[A-D] (touches|exits|forks [A-D]|unmaps a page)", word)
    )
    for state in graph.states:
        for field, _ in state.fields:
            assert any(text.startswith(field) for text in texts)
    boxes = [
        tuple(float(one.get(key) or 0) for key in ("x", "y", "width", "height"))
        for one in drawn.iter(f"{SVG}rect")
        if one.get("rx")
    ]
    assert len(boxes) == len(graph.states)
    for x, y, w, h in boxes:
        assert x >= 0 and x + w <= wide and y >= 0 and y + h <= high
    for (x, y, w, h), (x2, y2, w2, h2) in combinations(boxes, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, "boxes overlap"


def test_rows_keep_their_distance_and_edges_pass_rows() -> None:
    layout = layered.Layering([0, 1, 1, 2], [50.0, 80.0, 20.0, 50.0], [(0, 1), (0, 2), (1, 3), (3, 0)])
    assert [len(route) for route in layout.routes] == [2, 2, 2, 3]
    for row in layout.rows:
        for one, other in combinations([layout.spots[number] for number in row], 2):
            assert abs(one.x - other.x) >= (one.width + other.width) / 2 + layered.GAP - 1e-6
