"""The states that a policy's page draws: the policy's claims hold in them, and the picture shows all of them."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from foliolab.framework.plugins.registry import load

states = pytest.importorskip("foliolab_docs.states", reason="the extra `docs` is not installed")
pages = pytest.importorskip("foliolab_docs.policypages")
picture = pytest.importorskip("foliolab_docs.picture")

POLICIES = load().policies
SETUPS = (states.TWO, states.THREE)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("setup", SETUPS, ids=["two", "three"])
@pytest.mark.parametrize("name", POLICIES)
def test_claims_hold_in_every_state(name: str, setup: object) -> None:
    scheme = POLICIES[name].with_parameters()
    graph = states.explored(scheme, setup)
    assert graph.complete
    verdicts = {one.verdict for one in graph.states}
    assert {"", "exclusive"} <= verdicts
    if "safe" in scheme.capabilities:
        assert "unsafe: exclusive" not in verdicts
    if "exact" in scheme.capabilities or ("exact-for-two" in scheme.capabilities and setup == states.TWO):
        assert "false shared" not in verdicts


def test_two_slots_are_wrong_about_the_third_process_alone() -> None:
    graph = states.explored(POLICIES["mm-id"].with_parameters(), states.THREE)
    (wrong,) = [one for one in graph.states if one.verdict == "false shared"]
    assert wrong.living == [2]
    assert dict(wrong.fields)["_mm_ids"] == "id0=0 id1=0 shared"


@pytest.mark.parametrize("setup", SETUPS, ids=["two", "three"])
def test_every_operation_is_tried_in_every_state(setup: object) -> None:
    graph = states.explored(POLICIES["exact"].with_parameters(), setup)
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


@pytest.mark.skipif(not picture.available(), reason="graphviz is not installed")
@pytest.mark.parametrize("setup", SETUPS, ids=["two", "three"])
@pytest.mark.parametrize("name", POLICIES)
def test_the_picture_shows_all_of_it(name: str, setup: object) -> None:
    graph = states.explored(POLICIES[name].with_parameters(), setup)
    drawn = ElementTree.fromstring(picture.states(graph, "a title"))
    assert drawn.get("aria-label") == "a title"
    groups = [(str(one.get("class")).split(), one) for one in drawn.iter(f"{SVG}g")]
    edges = [one for classes, one in groups if "edge" in classes]
    assert len(edges) == len({(one.source, one.target) for one in graph.transitions})
    words = [str(text.text) for edge in edges for text in edge.iter(f"{SVG}text")]
    assert sorted(words) == sorted(one.operation for one in graph.transitions)
    boxes = {int(str(one[0].text)): (classes, one) for classes, one in groups if "node" in classes}
    assert sorted(boxes) == list(range(len(graph.states)))
    rows = []
    for number, state in enumerate(graph.states):
        classes, box = boxes[number]
        assert (re.sub(r"\W+", "-", state.verdict) or "unmapped") in classes
        lines = [str(text.text) for text in box.iter(f"{SVG}text")]
        assert lines[0] == (state.verdict or "not mapped")
        for field, _ in state.fields:
            assert any(line.startswith(field) for line in lines)
        points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", str(box.find(f"{SVG}path").get("d")))  # type: ignore[union-attr]
        rows.append((state.mappings, min(float(y) for _, y in points)))
    for (few, top), (many, below) in combinations(sorted(rows), 2):
        assert few == many or top < below, "rows go by the number of mappings"


def test_ids_of_two_pictures_differ() -> None:
    if not picture.available():
        pytest.skip("graphviz is not installed")
    first, second = (set(re.findall(r'id="([^"]+)"', picture.drawn("a -> b", title))) for title in ("One", "Two"))
    assert first and not first & second


def test_a_page_without_graphviz_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture.shutil, "which", lambda _: None)
    lines = list(pages._states(POLICIES["mm-id"].with_parameters()))
    assert lines.count(picture.ABSENT) == 2
    assert not any("<svg" in line for line in lines)
