"""What is sent of a counterexample: one page without a network, and a mail of 72 columns; nothing in them is run."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from raced import played, plugin_in, raced

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource.textmodule import SOURCE
from foliolab.framework.errors import UsageError
from foliolab.framework.plugins import registry
from foliolab.framework.report.walkthrough import counterexample as walks
from foliolab.framework.report.walkthrough import explored
from foliolab.framework.report.walkthrough.html import MOST_BYTES, counterexample_in, html, page
from foliolab.framework.report.walkthrough.mail import WIDTH, mail
from foliolab.framework.report.walkthrough.runs import ScenarioRun, check_steps
from foliolab.framework.report.walkthrough.sources import may_pass_on
from foliolab.framework.report.walkthrough.walkthrough import Walkthrough
from foliolab.framework.scenario import parser
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.timeline import Timeline


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plugin_in(tmp_path_factory.mktemp("raced"))


@pytest.fixture(scope="module")
def timeline(plugin: Path) -> Timeline:
    return played(plugin)


@pytest.fixture(scope="module")
def walk(timeline: Timeline) -> Walkthrough:
    return walks.walkthrough(timeline, Path("/somewhere/race.html"))


class _Elements(HTMLParser):
    """The elements of a page: their names, with their attributes, and the text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data


def test_the_page_shows_the_race_and_repeats_it(walk: Walkthrough, plugin: Path, timeline: Timeline) -> None:
    text = html(walk)
    elements = _Elements(text)
    assert "✗ law safe broken: " in elements.text and "while several MMs map it all the time" in elements.text
    assert "test_and_set_bit_lock" in elements.text, "the accesses"
    assert "lock 0 → 1" in elements.text, "what they change"
    assert "return False" in elements.text, "the policy's own text"
    assert "foliolab step race.html --plugin never.py" in elements.text
    assert str(plugin.parent) not in text, "no folder of this machine"
    again = Counterexample.decode(counterexample_in(text.encode()), "race.html")
    assert again == raced(Path(plugin.name))
    data = json.loads(re.findall(r'id="data">(.*?)</script>', text)[0])
    assert (
        len(data["lines"]) == len(walk.lines) == sum(tag == "tr" and "class" in given for tag, given in elements.found)
    )
    stored = dict(data["start"])
    for line in data["lines"]:
        stored.update(line["c"])
    last = timeline.values(len(timeline.frames) - 1)
    assert walk.end["folio._large_mapcount"] == str(last["folio._large_mapcount"].value)
    assert set(stored.values()) - {""} == set(walk.end.values())


def test_the_page_needs_no_network_and_runs_nothing_of_the_file(walk: Walkthrough) -> None:
    text = html(walk)
    elements = _Elements(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert not any({"src", "href", "onerror", "onload"} & given.keys() for _, given in elements.found)
    assert [given.get("id", "") for tag, given in elements.found if tag == "script"] == ["counterexample", "data", ""]
    assert not any(tag in ("img", "link", "iframe") for tag, _ in elements.found)
    assert "alert(2)" in elements.text, "shown as text"
    assert not set("\x1b\u202e\u2028") & set(text), "control characters are visible"


def test_a_long_run_fits(timeline: Timeline, plugin: Path) -> None:
    long = played(
        plugin, threads=[["maybe_shared pfn=0"] * 40, ["unmap mm=1 start=0 nr=1", "unmap mm=1 start=1 nr=1"] * 12]
    )
    asked: list[int] = []

    def made(most: int) -> Walkthrough:
        asked.append(most)
        found = walks.walkthrough(long, Path("long.html"), most)
        return replace(found, lines=found.lines * (4 if len(asked) == 1 else 1))  # too large at first

    text = page(made, 160)
    assert len(text.encode()) <= MOST_BYTES and len(asked) > 1 and asked[1] < asked[0]
    found = walks.walkthrough(long, Path("long.html"), 60)
    assert len(found.lines) == 60
    assert any("lines are left out" in line.mark.text for line in found.lines)
    assert found.end == walks.walkthrough(long, Path("long.html")).end, "what is left out has changed what is stored"


def test_the_mail(walk: Walkthrough) -> None:
    text = mail(walk)
    command = "  foliolab step race.html --plugin never.py"
    lines = text.splitlines()
    assert lines[-1] == command
    assert all(len(line) <= WIDTH and line.isascii() and line.isprintable() for line in lines)
    assert "called exclusive while several" in text and "schedule: 0*1 1*200 0*9" in text
    table = lines[next(at for at, line in enumerate(lines) if line.startswith("----")) :]
    first = next(line for line in table if "> maybe_shared pfn=0" in line)
    second = next(line for line in table if "> unmap mm=1" in line)
    assert first.index(">") < 10 < 30 < second.index(">"), "threads side by side"
    assert any("lock 0 -> 1" in line for line in table)


def test_more_threads_than_columns(walk: Walkthrough) -> None:
    many = replace(walk, heads=(*walk.heads, ("thread 2", ""), ("thread 3", "")))
    far = replace(walk, lines=tuple(replace(line, mark=replace(line.mark, step=1_234_567)) for line in walk.lines))
    assert all(len(line) <= WIDTH for line in mail(far).splitlines())
    text = mail(many)
    assert "thread 1: > unmap mm=1" in text
    assert all(len(line) <= WIDTH for line in text.splitlines())


def test_a_sequence_shows_the_folio_and_the_question(plugin: Path) -> None:
    sequence = played(plugin, threads=[["map_file mm=1 vpn=4 pfn=0 nr=1"]], schedule="", setup=raced(plugin).setup)
    found = walks.walkthrough(sequence, Path("a.json"))
    assert [drawn.title for drawn in found.drawings] == ["folio 0 · 4 pages"]
    assert found.end["folio0/0/MM 1"] in ("r", "w"), "the page tables"
    assert found.sources[0].name == "never"
    assert "operations" in mail(found)


def test_no_text_of_a_kernel_tree_is_passed_on(
    tmp_path: Path, timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "linux"
    for name in ("include/linux/mm_types.h", "mm/rmap.c", "mine.c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("int x;\n")
    own = tmp_path / "mine.c"
    own.write_text("int x;\n")
    assert not may_pass_on(str(tree / "mm/rmap.c"), timeline.scheme), "not of this policy"
    assert not may_pass_on(str(own), timeline.scheme)
    assert may_pass_on(str(tmp_path / "policy.py"), timeline.scheme)
    for source, passed_on in ((own, True), (tree / "mine.c", False), (object(), False)):
        scheme = _translated_from(source, timeline.scheme, monkeypatch)
        file = source if isinstance(source, Path) else tree / "mm/rmap.c"
        assert may_pass_on(str(file), scheme) == passed_on


def _translated_from(source: object, scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> Scheme:
    """The policy as if its functions had been translated from C."""
    module = ModuleType("translated_for_a_test")
    setattr(module, SOURCE, source)
    monkeypatch.setitem(sys.modules, scheme.policy.hooks.maybe_mapped_shared.__module__, module)
    return scheme


# -- runs --------------------------------------------------------------------------------------------
SCENARIO = """scenario third

region heap: 1 x 16K pte

A: fork B
A: fork C
A: exit
B: exit
C: write heap[0]
"""


@pytest.fixture(scope="module")
def scenario_walk() -> Walkthrough:
    found = registry.load()
    run = ScenarioRun(parser.parse(SCENARIO), [found.policy("mm-id"), found.policy("exact")])
    return explored.walkthrough(run, range(run.nr_steps), "foliolab step third --mail")


def test_a_scenario_under_two_policies(scenario_walk: Walkthrough) -> None:
    walk = scenario_walk
    assert [text for text, _ in walk.verdict] == [
        "▲ mm-id: false shared after 2 of 5 steps", "✓ exact: right after all 5 steps that change a large folio",
    ]  # fmt: skip
    assert walk.truth[1] == ("A", "B", "C") and [name for name, _ in walk.heads] == ["A", "B", "C"]
    assert [line.mark.mappings for line in walk.lines] == [(4, 4, 0), (4, 4, 4), (0, 4, 4), (0, 0, 4), (0, 0, 3)]
    assert [line.answers[0][0] for line in walk.lines[3:]] == ["▲ false shared", "copied; ▲ false shared"]
    assert walk.lines[4].answers[1][0] == "reused; exclusive"
    assert [one.title for one in walk.drawings] == ["mm-id · folio 0 · 4 pages", "exact · folio 0 · 4 pages"]
    assert walk.end["1:folio0/0/C"] == "w" and "0:folio0/0/C" not in walk.end, "exact keeps what mm-id copies"
    data = json.loads(re.findall(r'id="data">(.*?)</script>', html(walk))[0])
    assert data["first"] == 3, "it opens where the answer becomes wrong"
    text = mail(walk)
    assert all(len(line) <= WIDTH and line.isascii() for line in text.splitlines())
    assert "B: > exit" in text and "mm-id: ^ false shared" in text


def test_steps_that_are_not_there(scenario_walk: Walkthrough) -> None:
    run = ScenarioRun(parser.parse(SCENARIO), [])
    for steps in (range(3, 9), range(2, 2), range(-1, 2)):
        with pytest.raises(UsageError, match="has no steps"):
            check_steps(run, steps, 200)
    with pytest.raises(UsageError, match="more than a page shows"):
        check_steps(run, range(5), 4)
