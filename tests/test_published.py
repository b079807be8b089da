"""The published figures: the file that ships, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import foliolab.workloads
from foliolab.framework.errors import PluginError
from foliolab.framework.host import HostInfo
from foliolab.framework.plugins.published import Published, load, load_configurations, parse
from foliolab.framework.report.words import figure_text
from foliolab.framework.results.comparison import compare
from foliolab.framework.results.result import Cell, Config, Result

BASE = "page-mapcount"
WORKLOADS = Path(foliolab.workloads.__path__[0])


@pytest.fixture(scope="module")
def figures() -> list[Published]:
    return load(WORKLOADS / "published.toml")


def of(figures: list[Published], source: str, policy: str, workload: str, machine: str = "Xeon") -> list[float]:
    return [
        f.percent
        for f in sorted(figures, key=lambda f: f.size_kib)
        if f.source.startswith(source) and (f.policy, f.workload) == (policy, workload) and machine in f.machine
    ]


def test_how_many_there_are(figures: list[Published]) -> None:
    names = [f.source.partition(" ")[0] for f in figures]
    assert {name: names.count(name) for name in names} == {
        "V1": 5 * 9 * 3 + 2 * 3,
        "NPM": 8,
        "LM": 2,
        "WIP": 7 * (8 + 2) * 2,
    }
    keys = {(f.source, f.machine, f.workload, f.size_kib, f.policy, f.baseline) for f in figures}
    assert len(keys) == len(figures)
    assert all("@" in f.source for f in figures)


def test_the_table_of_the_series(figures: list[Published]) -> None:
    without = of(figures, "V1", "no-page-mapcount", "munmap")
    assert without == [0, -8, -9, -16, -17, -23, -26, -29, -31]
    assert of(figures, "V1", "no-page-mapcount", "fork") == [0, -9, -12, -15, -15, -16, -16, -17, -21]
    for policy in ("mm-id", "mm-id-v1"):
        assert of(figures, "V1", policy, "munmap") == [0, 2, 3, 4, 3, 1, 1, 0, 0]
        assert of(figures, "V1", policy, "fork") == [0, 4, 1, 0, 0, 0, 0, 0, -1]
    for policy in ("mm-id", "mm-id-v1", "no-page-mapcount"):
        assert of(figures, "V1", policy, "cow-byte") == [0] * 9
        for workload in ("reuse-byte", "child-reuse-byte"):
            assert of(figures, "V1", policy, workload) == [0, -66, -65, *[-64] * 6]


def test_the_table_of_the_precise_scheme(figures: list[Published]) -> None:
    stages = ("mapcount", "rmap-id", "123", "batch", "exclusive", "nocmpxchg", "all")

    def column(workload: str, machine: str) -> list[float]:
        return [
            p for stage in stages for p in of(figures, "WIP", f"rmap-id:stage={stage},batched=0", workload, machine)
        ]

    assert column("remap", "Xeon") == [13.4, 123.7, 108.7, -8.1, -8.8, -10.4, -34.8]
    assert column("fork", "Xeon") == [14.2, 105.9, 93.3, 95.5, 40.5, 46.4, 27.8]
    assert column("dontneed", "Xeon") == [2.8, 14.8, 12.9, 5.7, 1.1, 0.8, -0.5]
    assert column("munmap", "EPYC") == [1.8, 12.5, 6.3, 7.2, 14.0, 25.9, 16.1]
    assert column("reuse", "EPYC") == [1.4, -50.4, -51.1, -51.1, -51.4, -50.9, -50.2]
    assert column("dontneed", "EPYC") == [4.5, 6.3, 6.7, 4.0, 5.0, 3.4, 5.8]


def test_a_speed_up_is_no_change_of_time(figures: list[Published]) -> None:
    speed_ups = [f for f in figures if f.meaning == "speed-up"]
    assert [f.percent for f in speed_ups] == [10, 15, 17, 21, 22, 22, 23, 27]
    assert all(f.change_percent is None for f in speed_ups)
    assert all(f.change_percent == f.percent for f in figures if f.meaning == "time")


def test_throughputs_are_no_change_of_time(figures: list[Published]) -> None:
    """vm-scalability, specification 4.6 and 6.2: positive is faster there, and shown as what it is."""
    throughputs = [f for f in figures if f.meaning == "throughput"]
    assert len(throughputs) == 2 * 2 * 7 + 3
    assert {f.workload for f in throughputs} == {"anon-cow-seq", "anon-cow-rand"}
    assert all(f.change_percent is None for f in throughputs)
    stage = "rmap-id:stage=rmap-id,batched=0"
    assert of(figures, "WIP", stage, "anon-cow-seq", "Xeon") == [-16.2]
    assert of(figures, "WIP", stage, "anon-cow-seq", "EPYC") == [-10.4]
    assert of(figures, "WIP", "rmap-id:stage=all,batched=0", "anon-cow-rand", "EPYC") == [-0.5]
    assert of(figures, "V1", "mm-id", "anon-cow-seq") == [-2]
    assert of(figures, "V1", "no-page-mapcount", "anon-cow-seq") == [3]
    below = [f for f in figures if f.workload == "anon-cow-rand" and f.source.startswith("V1")]
    assert {(f.meaning, f.percent) for f in below} == {("below", 0.6)}
    texts = {(f.policy, f.percent): figure_text(f) for f in throughputs}
    assert texts["mm-id", -2] == "throughput −2 %"
    assert texts["no-page-mapcount", 3] == "throughput +3 %"


GOOD = """
[[table]]
source = "S"
machine = ""
baseline = "b"
workload = "munmap"
sizes = [4, 16]
percent = {p = [1, -2.5]}
"""


def test_a_table() -> None:
    fields = {"source": "S", "machine": "", "baseline": "b", "workload": "munmap", "policy": "p"}
    assert parse(GOOD, "here") == [
        Published(**fields, size_kib=4, percent=1.0),  # type: ignore[arg-type]
        Published(**fields, size_kib=16, percent=-2.5),  # type: ignore[arg-type]
    ]
    assert parse("", "here") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[table]]", "[table]", "here: table is not a list"),
        ("[[table]]", "[[tabel]]", "here has the unknown key tabel"),
        ("[[table]]", "[[table", "here is not TOML"),
        ("[4, 16]", "[4]", "here, table 1: p needs 1 figures"),
        ("[4, 16]", "[4, '16']", "a size not a number"),
        ("[4, 16]", "[4, 0]", "a size not a number"),
        ("-2.5", "true", "p has True for a figure"),
        ("-2.5", "'2'", "p has '2' for a figure"),
        ('source = "S"', "source = 3", "source is missing or not of type str"),
        ('baseline = "b"', "", "baseline is missing"),
        ("machine", "machina", "unknown key machina"),
        ("sizes", 'meaning = "rate"\nsizes', "meaning=rate is unknown"),
        ("percent = ", "percent = 3 # ", "percent is missing"),
    ],
)
def test_a_wrong_table_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        parse(GOOD.replace(old, new), "here")
    assert message in caught.value.what and caught.value.hint


CONFIGURATION = '[[configuration]]\nnames = ["Base", "old"]\npolicy = "p"\nget = "foliolab kernel get 6.12"\n'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[configuration]]", "[configuration]", "configuration is not a list"),
        ("policy", "polity", "configuration 1 has the keys get, names, polity"),
        ('"Base", "old"', "", "names is not a list of names"),
        ('"Base"', '"Ba se"', "names is not a list of names"),
        ('"Base"', '"Ba,se"', "names is not a list of names"),
        ('"p"', "3", "policy is none"),
        ("foliolab kernel get", "rm -r", "get is no command"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "published.toml"
    path.write_text(CONFIGURATION)
    assert load(path) == [] and [one.called("OLD") for one in load_configurations(path)] == [True]
    path.write_text(CONFIGURATION.replace(old, new))
    with pytest.raises(PluginError) as caught:
        load_configurations(path)
    assert message in caught.value.what and caught.value.hint


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"none\.toml cannot be read"):
        load(tmp_path / "none.toml")


def figure(policy: str, baseline: str = BASE, **others: Any) -> Published:
    fields: dict[str, Any] = {
        "source": "S",
        "machine": "M",
        "workload": "munmap",
        "size_kib": 16,
        "percent": -8,
    }
    return Published(policy=policy, baseline=baseline, **(fields | others))


def resolve(text: str) -> Mapping[str, int] | None:
    name, _, stage = text.partition(":stage=")
    return {"rmap-id": {"stage": int(stage or 6)}, BASE: {}}.get(name)


@pytest.mark.parametrize(
    ("one", "policy", "how", "there"),
    [
        (figure("mm-id"), "mm-id", None, True),
        (figure("mm-id", workload="fork"), "mm-id", None, False),
        (figure("mm-id", size_kib=32), "mm-id", None, False),
        (figure("mm-id", "exact"), "mm-id", None, False),
        (figure("mm-id:a=1,b=2"), "mm-id:b=2,a=1", None, True),
        (figure("mm-id:a=1"), "mm-id", None, False),
        (figure("rmap-id:stage=6"), "rmap-id", None, False),
        (figure("rmap-id:stage=6"), "rmap-id", resolve, True),
        (figure("rmap-id:stage=5"), "rmap-id", resolve, False),
    ],
)
def test_what_was_published_stands_beside_the_same_thing(
    one: Published, policy: str, how: Callable[[str], Mapping[str, int] | None] | None, there: bool
) -> None:
    cells = [Cell(workload="munmap", size_kib=16, policy=p, samples=[1.0] * 8) for p in (BASE, policy)]
    config = Config(
        policies=[BASE, policy],
        policy_parameters={policy: dict(resolve(policy) or {}), BASE: {}},
        baseline=BASE,
        workloads=["munmap"],
        sizes=[16],
        memory=1 << 30,
        repeats=8,
        seed=1,
        quick=False,
    )
    result = Result(
        complete=True,
        command="",
        started="",
        finished="",
        config=config,
        machine=HostInfo(cpu="", cores=1, memory_bytes=0, os=""),
        versions={},
        kernel="",
        git="",
        cells=cells,
    )
    rows = compare(result, published=[one], resolve=how)
    assert rows[1].published == ((one,) if there else ())
    assert rows[0].published == ()


def test_a_parameter_that_a_policy_no_longer_has_does_not_hide_its_figures() -> None:
    """mm-id had the parameters slots and width when tests/report/first.json was measured."""
    measured = Result.load(Path(__file__).parent / "report" / "first.json")
    figure = Published(
        source="V1", machine="", workload="fork", size_kib=16, policy="mm-id", baseline="page-mapcount", percent=4
    )
    present: dict[str, Mapping[str, int]] = {
        "page-mapcount": {"large_mapcount": 1, "batched": 1}, "mm-id": {}, "no-page-mapcount": {},
    }  # fmt: skip
    rows = compare(measured, published=[figure], resolve=present.get)
    (row,) = (row for row in rows if (row.workload, row.size_kib, row.policy) == ("fork", 16, "mm-id"))
    assert row.published == (figure,)
