"""The result file: a round trip, every kind of damage, and where a result says it comes from."""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foliolab.framework.errors import ExitCode, ResultFileError
from foliolab.framework.host import HostInfo, describe_host, kernel
from foliolab.framework.results import provenance
from foliolab.framework.results.provenance import git, now, versions
from foliolab.framework.results.result import Cell, Config, Failure, Result


def small() -> Result:
    return Result(
        complete=True,
        command="foliolab compare --sizes 16",
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:01:00+00:00",
        config=Config(
            policies=["page-mapcount", "mm-id"],
            policy_parameters={"page-mapcount": {"batched": 1}, "mm-id": {}},
            baseline="page-mapcount",
            workloads=["munmap"],
            sizes=[16],
            memory=1 << 30,
            repeats=2,
            seed=7,
            quick=False,
        ),
        machine=HostInfo(cpu="a CPU", cores=2, memory_bytes=1 << 33, os="an OS"),
        versions={"foliolab": "0.1.0"},
        kernel="6.15",
        git="",
        cells=[
            Cell(
                workload="munmap",
                size_kib=16,
                policy="page-mapcount",
                samples=[2.5, 2.25],
                counted={"atomics": 1.25},
            ),
            Cell(
                workload="munmap",
                size_kib=16,
                policy="mm-id",
                status="failed",
                reason="it raised – at line 3",
            ),
        ],
        failures=[Failure(policy="mm-id", workload="munmap", size_kib=16, message="it raised – at line 3")],
        notes=["a note"],
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("results") / "result.json"
    small().save(path)
    return path.read_bytes()


def changed(data: bytes, tmp_path: Path, change: Any) -> Path:
    document = json.loads(data)
    change(document)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document))
    return path


def test_a_round_trip(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(data)
    assert Result.load(path) == small()
    assert json.loads(data)["schema"] == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    samples=st.lists(st.floats(min_value=0, exclude_min=True, allow_infinity=False), max_size=8),
    counted=st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    note=st.text(max_size=20),
)
def test_every_number_and_text_survives(
    tmp_path: Path, samples: list[float], counted: dict[str, float], note: str
) -> None:
    before = small()
    before.cells[0] = Cell(workload="munmap", size_kib=16, policy="page-mapcount", samples=samples, counted=counted)
    before.notes.append(note)
    before.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == before


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match=r"there is no result file .*none\.json") as caught:
        Result.load(tmp_path / "none.json")
    assert caught.value.exit_code == ExitCode.USAGE
    with pytest.raises(ResultFileError, match="cannot be read"):
        Result.load(tmp_path)


def test_every_truncation_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "result.json"
    for length in range(len(data.rstrip())):
        path.write_bytes(data[:length])
        with pytest.raises(ResultFileError):
            Result.load(path)


@pytest.mark.parametrize("byte", [0, ord("}"), ord('"'), ord("9"), 0xFF])
def test_every_damaged_byte_is_refused_or_reads_as_a_result(tmp_path: Path, data: bytes, byte: int) -> None:
    path = tmp_path / "result.json"
    refused = 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
        try:
            Result.load(path)
        except ResultFileError as error:
            refused += 1
            assert "result.json" in str(error) and error.hint
    assert refused > len(data) / 4


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"7", b"[" * 100_000, b"\xff\xfe", b"not json"])
def test_what_is_no_result(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(ResultFileError):
        Result.load(tmp_path / "result.json")


def test_a_newer_schema(tmp_path: Path, data: bytes) -> None:
    path = changed(data, tmp_path, lambda d: d.update(schema=12, something="new"))
    with pytest.raises(ResultFileError, match="written by schema 12, this FolioLab reads up to 1") as caught:
        Result.load(path)
    assert caught.value.hint == "update FolioLab"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["config"].update(seed="x"), r"field config\.seed: Expected `int`, got `str`"),
        (
            lambda d: d["cells"][0].update(samples=[1, None]),
            r"field cells\[0\]\.samples\[1\]: Expected `float`",
        ),
        (
            lambda d: d["cells"][0].update(samples=[0.0]),
            r"field cells\[0\]: munmap, 16, page-mapcount: a sample",
        ),
        (lambda d: d["cells"][0].update(flagged=[2]), "flagged round is not among the 2 samples"),
        (lambda d: d["cells"][1].update(status="lost"), r"field cells\[1\]\.status"),
        (lambda d: d["cells"].append(d["cells"][0]), "there twice"),
        (lambda d: d["cells"][0].update(policy="exact"), "not in the request"),
        (lambda d: d["config"].update(baseline="exact"), "the baseline exact is not one of the policies"),
        (lambda d: d["config"].update(seed=-1), "the seed -1"),
        (lambda d: d.pop("machine"), "missing required field `machine`"),
        (lambda d: d.update(surprise=1), "unknown field `surprise`"),
        (lambda d: d.update(schema=0), "schema"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, data: bytes, change: Any, message: str) -> None:
    with pytest.raises(ResultFileError, match=message):
        Result.load(changed(data, tmp_path, change))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_sample_that_is_no_time_is_refused_where_it_arises(bad: float) -> None:
    with pytest.raises(ValueError, match="munmap, 16, mm-id: a sample"):
        Cell(workload="munmap", size_kib=16, policy="mm-id", samples=[1.0, bad])


def test_saving_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    os.umask(mask := os.umask(0))
    small().save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultFileError, match=r"result\.json cannot be written: No space left"):
        small().save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    assert path.read_text() == "old"


def test_saving_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match="cannot be written"):
        small().save(tmp_path / "none" / "result.json")


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "real.json").touch()
    (tmp_path / "link.json").symlink_to("real.json")
    small().save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert Result.load(tmp_path / "real.json") == small()
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    small().save(tmp_path / "pipe")
    reader.join(10)
    assert read == [(tmp_path / "real.json").read_bytes()]


def test_where_it_comes_from() -> None:
    machine = describe_host()
    assert machine.cpu and machine.cores >= 1 and machine.memory_bytes > 0 and machine.os
    assert {"python", "foliolab", "numpy", "msgspec"} <= versions().keys()
    assert kernel()
    assert now().endswith("+00:00")


def test_nothing_about_the_machine_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> Any:
        raise OSError("gone")

    monkeypatch.setattr(Path, "read_text", gone)
    monkeypatch.setattr(os, "sysconf", gone)
    monkeypatch.setattr(os, "sched_getaffinity", gone)
    monkeypatch.setattr(platform, "freedesktop_os_release", gone)
    monkeypatch.setattr(subprocess, "run", gone)
    machine = describe_host()
    assert machine.cpu and machine.cores >= 1 and machine.memory_bytes == 0 and machine.os
    assert git() == ""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")
def test_the_commit_is_the_codes_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (
        ["init", "-q"],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "m"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    own = tmp_path / "framework" / "results" / "provenance.py"
    own.parent.mkdir(parents=True)
    own.touch()
    inside = tmp_path / "lib" / "foliolab" / "framework" / "results" / "provenance.py"
    inside.parent.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(own))
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert git() == head.stdout.strip()
    monkeypatch.setattr(provenance, "__file__", str(inside))
    assert git() == ""


def test_comparing_needs_no_numba() -> None:
    code = (
        "import sys, foliolab.framework.report.comparison.terminal, foliolab.framework.report.comparison.csvfile;"
        "sys.exit('numba' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
