"""`foliolab compare`: what its options become, and what is refused before anything is measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import foliolab.framework.run.supervise as room
from foliolab.framework.run import cases
from foliolab.framework.run.request import RunRequest

Run = Callable[..., Any]


class Asked(Exception):
    """Raised instead of a run."""


@pytest.fixture
def request_of(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunRequest]:
    """The request that `foliolab compare ARGUMENTS` would run."""
    seen: list[RunRequest] = []

    def run(request: RunRequest, progress: object, partial: object = None) -> None:
        seen.append(request)
        raise Asked

    monkeypatch.setattr(room, "compare_run", run)

    def ask(*arguments: str) -> RunRequest:
        done = foliolab("compare", *arguments)
        assert "unexpected Asked" in done.err, done.err
        return seen.pop()

    return ask


def test_the_default_is_base_against_the_merged_schemes(request_of: Callable[..., RunRequest]) -> None:
    asked = request_of("--memory", "64M")
    assert asked.policies == ("page-mapcount", "mm-id", "no-page-mapcount")
    assert asked.baseline == "page-mapcount"
    assert asked.orders == (0, 2, 3, 4, 5, 6, 7, 8, 9)
    assert {"munmap", "fork", "cow-byte", "remap"} <= set(asked.workloads)
    assert "zygote" not in asked.workloads  # a program is timed only where it is named
    assert asked.typed == "foliolab compare --memory 64M"
    assert (asked.seed, asked.quick, asked.plugins) == (1, False, ())
    assert asked.repeats >= 8


def test_policies_under_a_caller(request_of: Callable[..., RunRequest]) -> None:
    asked = request_of("--policies", "mm-id,page-mapcount", "--caller", "fork-page-by-page")
    assert asked.policies == ("mm-id+fork-page-by-page", "page-mapcount+fork-page-by-page")
    assert asked.baseline == asked.policies[0] and ",".join(asked.policies) in asked.command()
    both = request_of("--policies", "mm-id,mm-id+fork-page-by-page")
    assert both.policies == ("mm-id", "mm-id+fork-page-by-page")


def test_everything_chosen(
    request_of: Callable[..., RunRequest], plugins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plugins.write_good(tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = request_of(
        "--policies", "good,exact:mms=4", "--policies", "mm-id", "--baseline", "mm-id",
        "--workloads", "fork,munmap",
        "--sizes", "64K,16K", "--memory", "32M", "--repeats", "3", "--seed", "7", "--plugin", "good.py",
        "--execution", "interpreted",
    )  # fmt: skip
    assert asked.policies == ("mm-id", "good", "exact:mms=4")
    assert asked.baseline == "mm-id"
    assert asked.workloads == ("fork", "munmap")
    assert asked.orders == (2, 4)
    assert (asked.memory, asked.repeats, asked.seed) == (32 << 20, 3, 7)
    assert asked.plugins == (str(path),)
    assert asked.execution == "interpreted"


def test_quick_takes_less_of_what_is_not_chosen(request_of: Callable[..., RunRequest]) -> None:
    quick = request_of("--quick")
    assert quick.quick
    assert (quick.memory, quick.orders) == (64 << 20, (0, 4, 9))
    assert request_of("--quick", "--sizes", "32K").orders == (3,)


def test_one_policy_is_compared_with_base(request_of: Callable[..., RunRequest]) -> None:
    asked = request_of("--quick", "--policies", "exact")
    assert (asked.policies, asked.baseline) == (("page-mapcount", "exact"), "page-mapcount")


def test_workloads_that_no_size_is_for_are_left_out_unless_named(
    request_of: Callable[..., RunRequest], foliolab: Run
) -> None:
    assert "remap" not in request_of("--quick", "--sizes", "16K").workloads
    done = foliolab("compare", "--quick", "--workloads", "remap", "--sizes", "16K")
    assert done.code == 2


def test_without_numba_it_is_interpreted_and_says_so(
    request_of: Callable[..., RunRequest], foliolab: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert request_of("--quick").execution == "interpreted"
    done = foliolab("compare", "--quick", "--execution", "native")
    assert (done.code, "pip install numba" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--policies", "mm-idd"], "did you mean mm-id"),
        (["--policies", "page-mapcount"], "nothing to compare page-mapcount with"),
        (["--policies", "mm-id,mm-id"], "named twice"),
        (["--baseline", "exakt"], "did you mean exact?"),
        (["--workloads", "frok"], "did you mean fork"),
        (["--sizes", "8K"], "nearest: 4K, 16K"),
        (["--sizes", "4M"], "too large: the largest is 2M"),
        (["--memory", "lots"], "write it like 1G or 64M"),
        (["--memory", "2M"], "--memory"),
        (["--execution", "fast"], "choose native or interpreted"),
        (["--json", "/no/such/folder/x.json"], "there is no folder /no/such/folder"),
        (["--json", "/dev/null/x.json"], "/dev/null is no folder"),
        (["--csv", "/tmp"], "it is a folder"),
    ],
)
def test_what_cannot_be_run_is_refused(
    foliolab: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.setattr(room, "compare_run", None)
    done = foliolab("compare", *arguments)
    assert done.code == 2
    assert says in done.err
    assert done.err.startswith("foliolab: ")


def test_more_memory_than_there_is_is_refused_with_both_figures(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "Child", None)
    monkeypatch.setattr(cases, "memory_available", lambda: 1 << 30)
    done = foliolab("compare", "--memory", "1G")
    assert done.code == 2
    assert "and 1,024 MiB are available" in done.err
    assert "takes up to " in done.err
    assert "or the workloads that fit: --workloads munmap,dontneed,fork,remap,contention-1," in done.err


def test_memory_that_no_workload_fits_in_names_none(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "Child", None)
    monkeypatch.setattr(cases, "memory_available", lambda: 1 << 20)
    done = foliolab("compare", "--memory", "1G")
    assert "or free some memory" in done.err
    assert "that fit" not in done.err


def test_a_failed_plugin_is_named_and_the_others_run(
    foliolab: Run, plugins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(request: RunRequest, progress: object, partial: object = None) -> None:
        raise Asked

    monkeypatch.setattr(room, "compare_run", run)
    bad = plugins.write(tmp_path, "raises")
    done = foliolab("compare", "--quick", "--plugin", bad)
    assert f"foliolab: plugin raises failed and is left out: {bad}:3: ZeroDivisionError" in done.err
    assert "unexpected Asked" in done.err
    assert foliolab("compare", "--quick", "--plugin", bad, "--strict").code == 4
    assert foliolab("compare", "--quick", "--plugin", bad, "--policies", "mm-id,raises").code == 4


@pytest.mark.slow
def test_a_small_comparison_from_end_to_end(foliolab: Run, tmp_path: Path) -> None:
    result, table = tmp_path / "result.json", tmp_path / "table.csv"
    done = foliolab(
        "compare", "--workloads", "munmap,fork", "--sizes", "16K,64K", "--memory", "16M", "--json", result,
        "--csv", table,
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(result.read_text())
    assert found["complete"] is True
    assert len(found["cells"]) == 2 * 2 * 3
    assert table.read_text().startswith("workload,size_kib,policy,ns_per_page,ratio,ratio_low,ratio_high,verdict\n")
    assert len(table.read_text().splitlines()) == 1 + 2 * 2 * 3
    assert "Verdicts against page-mapcount" in done.out
