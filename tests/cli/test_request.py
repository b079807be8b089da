"""One builder makes the request of every front end; the command of a request measures exactly the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.cli import compare
from foliolab.framework.errors import UsageError
from foliolab.framework.plugins.registry import Registry, load
from foliolab.framework.run import supervise
from foliolab.framework.run.request import RunRequest, build

REGISTRY = load()
POLICIES = [*sorted(REGISTRY.policies), "exact:mms=4", "mm-id-slots:slots=4,width=32"]


class Asked(Exception):
    """Raised in place of the run."""

    def __init__(self, request: RunRequest) -> None:
        super().__init__()
        self.request = request


def parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> RunRequest:
    """The request that the command line makes of a command."""

    def run(request: RunRequest, progress: object, partial: object = None) -> None:
        raise Asked(request)

    monkeypatch.setattr(supervise, "compare_run", run)
    app = typer.Typer()
    app.command()(compare.run)
    assert words[:2] == ["foliolab", "compare"]
    with pytest.raises(Asked) as asked:
        typer.main.get_command(app).main(words[2:], standalone_mode=False)
    return replace(asked.value.request, typed="")


@st.composite
def requests(draw: st.DrawFn, registry: Registry = REGISTRY) -> RunRequest:
    known = [text for text in POLICIES if text.partition(":")[0] in registry.policies]
    policies = draw(st.lists(st.sampled_from(known), min_size=2, max_size=4, unique=True))
    workloads = draw(st.lists(st.sampled_from(sorted(registry.workloads)), min_size=1, max_size=4, unique=True))
    orders = sorted({order for name in workloads for order in registry.workloads[name].orders})
    return build(
        registry,
        policies=policies,
        baseline=draw(st.sampled_from([None, *policies])),
        workloads=workloads,
        sizes=draw(st.lists(st.sampled_from(orders), min_size=1, unique=True)),
        memory=draw(st.integers(1024, 1 << 18)) << 12,
        repeats=draw(st.none() | st.integers(1, 1000)),
        spare=draw(st.none() | st.floats(0, 100)),
        seed=draw(st.integers(0, 1 << 40)),
        quick=draw(st.booleans()),
        execution=draw(st.sampled_from(["native", "interpreted"])),
    )


@settings(max_examples=80, deadline=None)
@given(request=requests())
def test_the_command_of_a_request_makes_the_same_request(request: RunRequest) -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert parsed(request.command(), patch) == request


def test_a_plugin_file_is_part_of_the_command(plugins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plugins.write_good(tmp_path)
    request = build(load([path]), policies=["mm-id", "good"], memory="64M")
    assert request.plugins == (str(path),)
    assert parsed(request.command(), monkeypatch) == request


@pytest.mark.parametrize("build_cell", [True, False])
def test_the_window_measures_what_its_command_says(build_cell: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PySide6")
    from foliolab.gui.benchmark.measure import Wish, request_of
    from foliolab.gui.compare import measure

    if build_cell:
        request = measure._cost_request(REGISTRY, ["exact"], "page-mapcount", "native")
        assert request.spare == measure.SPARE
        cell = measure.Cell("cost", "exact")
        assert list(measure.command(cell, REGISTRY, "page-mapcount")) == request.command()
    else:
        wish = Wish(("mm-id", "exact"), "exact", ("munmap",), "16K,64K", "32M", quick=True)
        request = request_of(wish, REGISTRY)
    assert parsed(request.command(), monkeypatch) == request


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"policies": ["mm-id"], "baseline": "mm-id"}, "nothing to compare mm-id with"),
        ({"workloads": ["munmap"], "memory": 4096}, "are less than two folios"),
        ({"workloads": ["remap"], "sizes": [2]}, "no chosen workload supports"),
    ],
)
def test_what_cannot_be_measured_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build(REGISTRY, **change)


def test_one_policy_alone_is_measured_without_a_comparison() -> None:
    request = build(REGISTRY, policies=["mm-id"], workloads=["munmap"], sizes=[4], memory="16M", alone=True)
    assert (request.policies, request.baseline, request.orders) == (("mm-id",), "mm-id", (4,))


def test_each_process_loads_plugins_once(plugins: Any, tmp_path: Path, foliolab: Callable[..., Any]) -> None:
    """A comparison has two processes, the command and its worker; before, a process of its own tries a plugin."""
    count = tmp_path / "count"
    path = plugins.write_good(tmp_path)
    path.write_text(path.read_text() + f"\nwith open({str(count)!r}, 'a') as file:\n    file.write('x')\n")
    done = foliolab(
        "compare", "--policies", "mm-id,good", "--workloads", "munmap", "--sizes", "16K", "--memory", "1M",
        "--repeats", "1", "--execution", "interpreted", "--plugin", path,
    )  # fmt: skip
    assert done.code in (0, 1), done.err
    assert len(count.read_text()) == 3
