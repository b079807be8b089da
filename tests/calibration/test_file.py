"""The calibration file: a written file is read back, and every other file is refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework import calibration
from foliolab.framework.errors import ExitCode, ResultFileError
from foliolab.framework.host import HostInfo


@pytest.fixture
def made(make: Any) -> calibration.Calibration:
    """A calibration of two operations."""
    found: calibration.Calibration = make.calibration({"munmap": make.rest(20, 300), "fork": make.rest(30, -5)})
    return found


def test_what_is_written_is_read_again(made: calibration.Calibration, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    made.save(path)
    assert calibration.Calibration.load(path) == made
    assert [file.name for file in tmp_path.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"schema": 1', '"schema": 2'),
        lambda text: text.replace('"Calibration"', '"Result"'),
        lambda text: text.replace('"policy"', '"politics"'),
        lambda text: text.replace('"fork"', "4"),
    ],
)
def test_damaged_and_foreign_files_are_refused(made: calibration.Calibration, tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "calibration.json"
    made.save(path)
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    refused = "is not a calibration that this FolioLab reads|is damaged, or is not a calibration|is written by schema 2"
    with pytest.raises(ResultFileError, match=refused) as caught:
        calibration.Calibration.load(path)
    assert "foliolab kernel calibrate" in caught.value.hint or caught.value.hint == "update FolioLab"
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_result_file_is_no_calibration(make: Any, tmp_path: Path) -> None:
    make.model().save(tmp_path / "result.json")
    with pytest.raises(ResultFileError, match="is not a calibration"):
        calibration.Calibration.load(tmp_path / "result.json")


def test_files_that_cannot_be_read_or_written(made: calibration.Calibration, tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.json", "there is no calibration"), (tmp_path, "cannot be read")):
        with pytest.raises(ResultFileError, match=says):
            calibration.Calibration.load(path)
    with pytest.raises(ResultFileError, match="cannot be written"):
        made.save(tmp_path / "none" / "calibration.json")


def test_a_file_a_release_in_a_folder_of_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path))
    assert calibration.default_path("6.18.4-arch1 #1 SMP") == tmp_path / "calibration" / "6.18.4-arch1.json"
    assert calibration.default_path("../../x y").parent == tmp_path / "calibration"
    assert calibration.default_path("").name == "unknown.json"
    monkeypatch.delenv("FOLIOLAB_DATA")
    assert calibration.default_path("6.18").is_absolute()


def test_another_machine_or_kernel_differs(made: calibration.Calibration) -> None:
    machine = HostInfo(cpu="a CPU", cores=64, memory_bytes=1, os="another OS")
    assert calibration.differs(made, machine, made.kernel) == ""
    assert "under Linux 6.18.1-test #1 SMP, this is 6.19" in calibration.differs(made, machine, "6.19")
    other = msgspec.structs.replace(machine, cpu="another CPU")
    assert "on a CPU, this is another CPU" in calibration.differs(made, other, made.kernel)
