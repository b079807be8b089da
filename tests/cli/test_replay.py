"""`foliolab replay` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header


def foliolab(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "foliolab.framework.cli", "replay", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "a.folio"
    with Writer(path, Header(source="test", kernel="6.18.0", mm_id=True, no_page_mapcount=False)) as writer:
        writer.append(
            ev.columns(
                time=range(5),
                kind=[ev.NEW, ev.FORK, ev.WRITE, ev.EXIT, ev.WRITE],
                mm=[1, 1, 1, 2, 1],
                order=[4, 0, 0, 0, 0],
                page=[512, 0, 513, 0, 514],
                other=[16, 2, 0, 0, 0],
                flags=[0, 0, ev.COPIED, 0, ev.REUSED],
            )
        )
    return path


def test_the_policies_that_model_kernels_and_a_precise_one(trace: Path, tmp_path: Path) -> None:
    done = foliolab(str(trace), "--execution", "interpreted", "--json", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "r.json").read_bytes())
    assert [one["policy"] for one in found["policies"]] == ["page-mapcount", "mm-id", "no-page-mapcount", "exact"]
    assert [one["policy"] for one in found["policies"] if one["recorded"]] == ["mm-id"]
    assert found["kind"] == "replay-trace"
    assert found["recording"]["header"]["kernel"] == "6.18.0"
    assert "mm-id: 2 of 2 certain outcomes" in done.stdout
    assert "page-mapcount: 1 of 2 certain outcomes" in done.stdout


def test_chosen_policies(trace: Path) -> None:
    done = foliolab(str(trace), "--policies", "exact:mms=8,mm-id", "--execution", "interpreted", "--samples", "0")
    assert done.returncode == 0, done.stderr
    assert "exact:mms=8" in done.stdout
    assert "no-page-mapcount" not in done.stdout


def test_several_traces_are_runs(trace: Path, tmp_path: Path) -> None:
    done = foliolab(str(trace), str(trace), "--policies", "mm-id", "--execution", "interpreted", "--samples", "0")
    assert done.returncode == 0, done.stderr
    assert "Run by run (mm-id)" in done.stdout
    done = foliolab(str(trace), str(trace), "--json", str(tmp_path / "r.json"))
    assert done.returncode == 2
    assert "--json writes the result of one trace" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.folio"], "there is no trace none.folio"),
        (["--policies", "mmid"], "did you mean"),
        (["--json", "/none/r.json"], "there is no folder"),
        (["--memory", "64"], "has no unit"),
        (["--costs", "none.json"], "there is no result file"),
    ],
)
def test_usage_errors(trace: Path, arguments: list[str], message: str) -> None:
    first = [] if arguments[0].endswith(".folio") else [str(trace)]
    done = foliolab(*first, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("perf script text")
    done = foliolab(str(tmp_path / "x"))
    assert done.returncode == 2
    assert "is no trace" in done.stderr


def test_an_empty_trace_is_nothing_measured(tmp_path: Path) -> None:
    Writer(tmp_path / "x", Header()).close()
    done = foliolab(str(tmp_path / "x"), "--execution", "interpreted")
    assert done.returncode == 3
    assert "has no events" in done.stderr
