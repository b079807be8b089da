"""`foliolab kernel calibrate`, and what `foliolab compare` does with what it stored."""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import foliolab.framework.run.supervise as room
from foliolab.framework import calibration, host
from foliolab.framework.kernel import bench, running
from foliolab.framework.run.request import RunRequest

pytestmark = pytest.mark.host

Run = Callable[..., Any]
COMPARE = ("compare", "--workloads", "munmap", "--sizes", "4K,16K,64K,2M", "--memory", "8M")


@pytest.fixture(scope="session")
def kit() -> Any:
    """The results of `tests/calibration`."""
    path = Path(__file__).parents[1] / "calibration" / "conftest.py"
    spec = importlib.util.spec_from_file_location("foliolab_test_calibrations", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def this_machine(kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A known kernel and CPU, a data folder of our own."""
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(host, "kernel", lambda: kit.KERNEL)
    monkeypatch.setattr(host, "describe_host", lambda: kit.MACHINE)
    monkeypatch.setattr(
        running, "read", lambda: running.Running("6.18.1-test", {"CONFIG_MM_ID": "y", "CONFIG_PAGE_MAPCOUNT": "y"})
    )


@pytest.fixture
def files(kit: Any, tmp_path: Path) -> tuple[Path, Path]:
    """A result of the kernel's benchmarks and one of the model."""
    make = kit.Make()
    measured, model = tmp_path / "bench.json", tmp_path / "model.json"
    make.bench({"munmap": make.rest(20, 300)}).save(measured)
    make.model().save(model)
    return measured, model


@pytest.fixture
def compared(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`foliolab compare` measures what the kit makes."""
    make = kit.Make()

    def run(request: RunRequest, progress: object, partial: object = None) -> Any:
        return make.model(request.workloads, {policy: make.RAW[policy] for policy in request.policies})

    monkeypatch.setattr(room, "compare_run", run)


def test_what_is_calibrated_is_printed_and_stored_and_used(
    foliolab: Run, files: tuple[Path, Path], compared: None, tmp_path: Path
) -> None:
    done = foliolab("kernel", "calibrate", *files)
    assert done.code == 0, done.err
    stored = tmp_path / "data" / "calibration" / "6.18.1-test.json"
    made = calibration.Calibration.load(stored)
    assert (made.policy, made.reuses, made.bench.memory) == ("mm-id", True, 512 << 20)
    assert f"Written to {stored}; `foliolab compare` predicts with it." in done.out
    for words in ("kernel − mm-id = a + b / pages of a folio", "20.00 … 20.00", "munmap at 4 KiB: small folios"):
        assert words in done.out
    done = foliolab(*COMPARE, "--csv", tmp_path / "rows.csv")
    assert done.code == 0, done.err
    assert "munmap: with the rest of the kernel, against page-mapcount" in done.out
    assert "rest: +20.0 ns/page +300 ns/folio" in done.out
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        rows = {(row["size_kib"], row["policy"]): row for row in csv.DictReader(file)}
    assert float(rows["16", "mm-id"]["predicted_ns_per_page"]) == pytest.approx(11 + 20 + 75)
    assert float(rows["16", "mm-id"]["predicted_ratio"]) == pytest.approx(106 / 105, abs=1e-5)
    assert rows["16", "mm-id"]["rest_of"] == "munmap"


def test_raw_only_where_it_is_asked_for_or_nothing_is_stored(
    foliolab: Run, files: tuple[Path, Path], compared: None, tmp_path: Path
) -> None:
    assert "with the rest" not in foliolab(*COMPARE).out
    foliolab("kernel", "calibrate", *files)
    done = foliolab(*COMPARE, "--no-calibration", "--csv", tmp_path / "rows.csv")
    assert "with the rest" not in done.out
    assert "predicted" not in (tmp_path / "rows.csv").read_text()


def test_a_stored_calibration_that_does_not_fit_is_named_and_left_out(
    foliolab: Run, kit: Any, files: tuple[Path, Path], compared: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    foliolab("kernel", "calibrate", *files)
    stored = tmp_path / "data" / "calibration" / "6.18.1-test.json"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(host, "kernel", lambda: "6.18.1-test #2 SMP")
        done = foliolab(*COMPARE)
    assert done.code == 0 and "with the rest" not in done.out
    assert f"the calibration {stored} is not used: it was made under Linux {kit.KERNEL}" in done.err
    stored.write_text(stored.read_text()[:100])
    done = foliolab(*COMPARE)
    assert done.code == 0 and "with the rest" not in done.out
    assert "is not used" in done.err and "is damaged, or is not a calibration" in done.err


def test_a_calibration_of_ones_choice(
    foliolab: Run, files: tuple[Path, Path], compared: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.json"
    done = foliolab("kernel", "calibrate", *files, "--out", mine)
    assert f"Written to {mine}; `foliolab compare --calibration {mine}` predicts with it." in done.out
    assert not (tmp_path / "data").exists()
    done = foliolab(*COMPARE, "--calibration", mine)
    assert done.code == 0 and "munmap: with the rest of the kernel" in done.out
    monkeypatch.setattr(room, "compare_run", None)
    for arguments, says in (
        (["--calibration", tmp_path / "none.json"], "there is no calibration"),
        (["--calibration", mine, "--no-calibration"], "--no-calibration is given"),
        (["--calibration", mine, "--execution", "interpreted"], "interpreted times mean nothing"),
    ):
        done = foliolab(*COMPARE, *arguments)
        assert (done.code, says in done.err) == (2, True), done.err


def test_which_policy_the_kernel_has(
    foliolab: Run, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(host, "kernel", lambda: "6.14.0 #1")
        done = foliolab("kernel", "calibrate", *files)
        assert done.code == 2 and "ran under Linux 6.18.1-test #1 SMP, this is 6.14.0 #1" in done.err
        assert "--policy" in done.err
        done = foliolab("kernel", "calibrate", *files, "--policy", "page-mapcount:batched=0")
        assert done.code == 2 and "does not have page-mapcount:batched=0" in done.err  # the model's is the default one
        done = foliolab("kernel", "calibrate", *files, "--policy", "no-page-mapcount")
        assert done.code == 0 and "kernel − no-page-mapcount" in done.out
    monkeypatch.setattr(running, "read", lambda: running.Running("5.10.0", {}))
    done = foliolab("kernel", "calibrate", *files)
    assert done.code == 2 and "no policy models the kernel" in done.err


def test_results_in_the_wrong_order_and_files_that_are_none(
    foliolab: Run, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, model = files
    done = foliolab("kernel", "calibrate", model, measured)
    assert done.code == 2 and "give BENCH.json, then MODEL.json" in done.err
    done = foliolab("kernel", "calibrate", measured.with_name("none.json"), model)
    assert done.code == 2 and "there is no result file" in done.err
    done = foliolab("kernel", "calibrate", measured, model, "--out", measured.parent / "no" / "such.json")
    assert done.code == 2 and "there is no folder" in done.err
    monkeypatch.setenv("FOLIOLAB_DATA", str(measured))
    done = foliolab("kernel", "calibrate", measured, model)
    assert done.code == 2 and "cannot be made" in done.err and "--out" in done.err


def test_without_a_model_the_kernels_policy_is_measured_alone(
    foliolab: Run, files: tuple[Path, Path], kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunRequest] = []
    make = kit.Make()

    def run(request: RunRequest, progress: object, partial: object = None) -> Any:
        asked.append(request)
        return make.model(request.workloads, {"mm-id": 11.0})

    monkeypatch.setattr(room, "compare_run", run)
    done = foliolab("kernel", "calibrate", files[0])
    assert done.code == 0, done.err
    (request,) = asked
    assert (request.policies, request.workloads, request.memory) == (("mm-id",), ("munmap",), 512 << 20)
    assert request.orders == (0, 2, 3, 4, 5, 6, 7, 8, 9)


@pytest.mark.parametrize("complete", [True, False])
def test_without_any_file_the_kernel_is_measured_first(
    foliolab: Run, kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, complete: bool
) -> None:
    make, asked = kit.Make(), []

    def run(request: bench.BenchRequest, progress: object, partial: object) -> Any:
        asked.append(request)
        return make.bench({"munmap": make.rest(20, 300)}, complete=complete)

    monkeypatch.setattr(bench, "bench", run)
    monkeypatch.setattr(room, "compare_run", lambda request, progress: make.model())
    monkeypatch.setattr(host, "memory_available", lambda: 1 << 40)
    done = foliolab("kernel", "calibrate")
    assert done.code == (0 if complete else 130), done.err
    assert asked[0].benchmarks == bench.BENCHMARKS and asked[0].memory == 512 << 20
    assert asked[0].sizes[0] == 4
    assert (tmp_path / "data" / "calibration" / "6.18.1-test.json").exists() is complete


def test_an_interrupted_measurement_calibrates_nothing(
    foliolab: Run, files: tuple[Path, Path], kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make = kit.Make()
    monkeypatch.setattr(room, "compare_run", lambda request, progress: make.model(complete=False))
    assert foliolab("kernel", "calibrate", files[0]).code == 130
    assert not list(tmp_path.glob("data/*/*"))


@pytest.mark.slow
def test_the_model_is_really_measured(foliolab: Run, kit: Any, tmp_path: Path) -> None:
    make = kit.Make()
    measured = make.bench({"munmap": make.rest(500, 300)}, (4, 16, 64))
    little = msgspec.structs.replace(measured.config, memory=16 << 20)
    msgspec.structs.replace(measured, config=little).save(tmp_path / "bench.json")
    done = foliolab("kernel", "calibrate", tmp_path / "bench.json")
    assert done.code == 0, done.err
    made = calibration.Calibration.load(tmp_path / "data" / "calibration" / "6.18.1-test.json")
    assert made.model.memory == 16 << 20
    assert all(0 < point.model < 200 for point in made.operations[0].points)
