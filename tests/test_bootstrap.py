"""The first start, offline: pip is played by a script; the real set-up is what .ci/run begins with."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sys
import threading
import venv
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from foliolab.framework import bootstrap

REPOSITORY = Path(__file__).resolve().parents[1]
STARTERS = ("gui/__main__.py", "tests/__main__.py")

# Plays pip: says what it is told to, notes how it was called, and "installs" the project where it succeeds.
PIP = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
(here / "called.json").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
print((here / "says").read_text())
code = int((here / "code").read_text())
if code == 0:
    home = here / "checkout" / ".venv" / "lib" / ("python%d.%d" % sys.version_info[:2]) / "site-packages"
    (home / "foliolab-0.1.0.dist-info").mkdir(parents=True, exist_ok=True)
sys.exit(code)
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout that fresh takes for its own."""
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    home = root / ".venv"
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "HOME", home)
    monkeypatch.setattr(bootstrap, "PYTHON", home / "bin" / "python")
    monkeypatch.setattr(bootstrap, "STAMP", home / "foliolab.stamp")
    monkeypatch.setattr(bootstrap, "LOG", home / "foliolab-setup.log")
    return root


class Pip:
    """The pip that is played: what it says, how it ends, how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = [sys.executable, str(folder / "pip.py")]
        (folder / "pip.py").write_text(PIP)
        self.plays("Collecting numba\nInstalling collected packages: numba", 0)

    def plays(self, says: str, code: int) -> None:
        (self.folder / "says").write_text(says)
        (self.folder / "code").write_text(str(code))

    def called(self) -> tuple[list[str], dict[str, str]]:
        arguments, environment = json.loads((self.folder / "called.json").read_text())
        return arguments, environment


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    played = Pip(tmp_path)
    monkeypatch.setattr(bootstrap, "find_pip", lambda anew: played.command)
    return played


def complete(extras: Sequence[str] = ()) -> str:
    """Make the checkout's .venv look complete; return the stamp that it was given."""
    venv.create(bootstrap.HOME, symlinks=True, with_pip=False)
    packages = next(bootstrap.HOME.glob("lib/python*/site-packages"))
    (packages / "foliolab-0.1.0.dist-info").mkdir()
    bootstrap.STAMP.write_text(bootstrap.stamp_text(extras))
    return bootstrap.stamp_text(extras)


# --- is .venv ready?


def test_a_complete_environment_is_ready(checkout: Path) -> None:
    assert bootstrap.is_ready(complete())


def test_more_extras_than_wanted_are_ready_and_fewer_are_not(checkout: Path) -> None:
    complete(["dev"])
    assert bootstrap.is_ready(bootstrap.stamp_text([]))
    assert not bootstrap.is_ready(bootstrap.stamp_text(["dev", "gui"]))


def test_no_environment_is_not_ready(checkout: Path) -> None:
    assert not bootstrap.is_ready(bootstrap.stamp_text([]))


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00", b"unfinished\n", b"\n\n\n"])
def test_a_damaged_stamp_is_not_ready(checkout: Path, damage: bytes) -> None:
    want = complete()
    bootstrap.STAMP.write_bytes(damage)
    assert not bootstrap.is_ready(want)


def test_a_changed_project_is_not_ready_but_a_changed_linter_setting_is(checkout: Path) -> None:
    complete()
    text = (checkout / "pyproject.toml").read_text()
    (checkout / "pyproject.toml").write_text(text.replace("max-complexity = 12", "max-complexity = 13"))
    assert bootstrap.is_ready(bootstrap.stamp_text([]))
    (checkout / "pyproject.toml").write_text(text.replace('"pluggy>=1.5"', '"pluggy>=1.6"'))
    assert not bootstrap.is_ready(bootstrap.stamp_text([]))


def test_a_moved_checkout_is_not_ready(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete()
    monkeypatch.setattr(bootstrap, "ROOT", checkout.parent / "elsewhere")
    shutil.copytree(checkout, bootstrap.ROOT, symlinks=True)
    assert not bootstrap.is_ready(bootstrap.stamp_text([]))
    assert bootstrap.needs_making(bootstrap.read_stamp())


def test_an_uninstalled_project_is_not_ready(checkout: Path) -> None:
    want = complete()
    shutil.rmtree(next(bootstrap.HOME.glob("lib/*/site-packages/foliolab-*")))
    assert not bootstrap.is_ready(want)


def test_packages_of_an_earlier_python_are_not_ready(checkout: Path) -> None:
    want = complete()
    folder = next(bootstrap.HOME.glob("lib/python*"))
    folder.rename(folder.with_name("python3.0"))
    assert not bootstrap.is_ready(want)


def test_a_removed_interpreter_is_not_ready(checkout: Path) -> None:
    want = complete()
    bootstrap.PYTHON.unlink()
    bootstrap.PYTHON.symlink_to(checkout / "no-such-python")
    assert not bootstrap.is_ready(want)
    assert bootstrap.needs_making(bootstrap.read_stamp())


# --- must .venv be made anew?


def test_a_working_environment_made_by_hand_is_kept(checkout: Path) -> None:
    venv.create(bootstrap.HOME, symlinks=True, with_pip=False)
    assert not bootstrap.needs_making(bootstrap.read_stamp())


@pytest.mark.parametrize(
    "break_it",
    [
        lambda home: (home / "foliolab.stamp").write_text(bootstrap.UNFINISHED),
        lambda home: (home / "pyvenv.cfg").unlink(),
        lambda home: (home / "bin" / "python").unlink(),
        lambda home: shutil.rmtree(home / "bin"),
    ],
)
def test_a_half_made_environment_is_made_anew(checkout: Path, break_it: Callable[[Path], object]) -> None:
    complete()
    break_it(bootstrap.HOME)
    assert bootstrap.needs_making(bootstrap.read_stamp())


@pytest.mark.parametrize("script", ["exit 1", "exec /no/such/file"])
def test_an_interpreter_that_does_not_start_is_made_anew(checkout: Path, script: str) -> None:
    complete()
    bootstrap.PYTHON.unlink()
    bootstrap.PYTHON.write_text(f"#!/bin/sh\n{script}\n")
    bootstrap.PYTHON.chmod(0o755)
    assert bootstrap.needs_making(bootstrap.read_stamp())


# --- which pip?


@pytest.fixture
def no_ensurepip(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Debian without python3-venv."""
    monkeypatch.setattr(bootstrap, "find_spec", lambda name: None if name == "ensurepip" else find_spec(name))


def test_a_new_enough_pip_installs_from_outside(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "pip_version", lambda: (23, 0))
    assert bootstrap.find_pip(True) == [sys.executable, "-P", "-m", "pip", "--python", str(bootstrap.PYTHON)]


@pytest.mark.usefixtures("no_ensurepip")
def test_a_missing_pip_is_one_sentence(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "pip_version", lambda: ())
    with pytest.raises(bootstrap.SetupFault, match=r"^pip is missing .* apt-get install python3-pip, .*\.$"):
        bootstrap.find_pip(True)


@pytest.mark.usefixtures("no_ensurepip")
@pytest.mark.parametrize("old", [(20, 3), (22, 2)])
def test_an_old_pip_is_one_sentence(checkout: Path, monkeypatch: pytest.MonkeyPatch, old: tuple[int, int]) -> None:
    monkeypatch.setattr(bootstrap, "pip_version", lambda: old)
    said = rf"^pip {old[0]}\.{old[1]} is too old, 22\.3 .* apt-get install python3-venv, .*\.$"
    with pytest.raises(bootstrap.SetupFault, match=said):
        bootstrap.find_pip(True)


@pytest.mark.parametrize("have", [(), (20, 3)])
def test_where_there_is_ensurepip_it_stands_in(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, have: tuple[int, ...]
) -> None:
    pytest.importorskip("ensurepip")
    monkeypatch.setattr(bootstrap, "pip_version", lambda: have)
    assert bootstrap.find_pip(True) == [str(bootstrap.PYTHON), "-P", "-m", "pip"]


def test_the_version_of_a_pip_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "find_spec", lambda name: None)
    assert bootstrap.pip_version() == ()


# --- setting up


def test_a_first_start_sets_up_and_says_two_lines(checkout: Path, pip: Pip, capfd: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.interpreter(["dev"], ["no_such_module"]) == str(bootstrap.PYTHON)
    said = capfd.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith("foliolab: setting up .venv")
    assert second.startswith("foliolab: .venv is ready (")
    assert bootstrap.is_ready(bootstrap.stamp_text(["dev"]))
    assert pip.called()[0][-2:] == ["-e", f"{checkout}[dev]"]
    assert "Collecting numba" in bootstrap.LOG.read_text()


def test_the_second_start_is_silent(checkout: Path, pip: Pip, capfd: pytest.CaptureFixture[str]) -> None:
    bootstrap.interpreter(["dev"], ["no_such_module"])
    (pip.folder / "called.json").unlink()
    capfd.readouterr()
    bootstrap.interpreter([], ["no_such_module"])
    assert capfd.readouterr() == ("", "")
    assert not (pip.folder / "called.json").exists()


def test_extras_of_earlier_starts_are_kept(checkout: Path, pip: Pip) -> None:
    bootstrap.set_up(["dev"])
    bootstrap.set_up(["gui"])
    assert pip.called()[0][-1] == f"{checkout}[dev,gui]"
    assert bootstrap.read_stamp()[2:] == ["dev", "gui"]


def test_the_users_own_pip_settings_do_not_lead_past_the_environment(
    checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_TARGET", "PIP_PREFIX", "PYTHONPATH"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_PROXY", "kept")
    bootstrap.set_up([])
    environment = pip.called()[1]
    assert {"PIP_TARGET", "PIP_PREFIX", "PYTHONPATH"}.isdisjoint(environment)
    assert (environment["PIP_USER"], environment["PIP_PROXY"]) == ("0", "kept")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "WARNING: NewConnectionError('...')\nERROR: No matching distribution found",
            "index cannot be reached",
        ),
        ("ERROR: ReadTimeoutError: Read timed out.", "index cannot be reached"),
        ("SSLError [SSL: CERTIFICATE_VERIFY_FAILED]", "apt-get install ca-certificates"),
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        (
            "a\nERROR: No matching distribution found for numba\nhint",
            "No matching distribution found for numba",
        ),
        ("killed", "killed"),
    ],
)
def test_a_failed_installation_is_one_sentence_and_the_next_start_begins_anew(
    checkout: Path, pip: Pip, words: str, sentence: str
) -> None:
    pip.plays(words, 1)
    with pytest.raises(bootstrap.SetupFault, match=sentence) as caught:
        bootstrap.set_up([])
    assert "\n" not in str(caught.value)
    assert not bootstrap.is_ready(bootstrap.stamp_text([]))
    (bootstrap.HOME / "left over").touch()
    pip.plays("fine", 0)
    bootstrap.set_up([])
    assert bootstrap.is_ready(bootstrap.stamp_text([]))
    assert not (bootstrap.HOME / "left over").exists()


def test_a_failed_update_leaves_the_environment_in_place(checkout: Path, pip: Pip) -> None:
    complete()
    (bootstrap.HOME / "left over").touch()
    pip.plays("NewConnectionError", 1)
    with pytest.raises(bootstrap.SetupFault):
        bootstrap.set_up(["dev"])
    assert (bootstrap.HOME / "left over").exists()
    assert bootstrap.is_ready(bootstrap.stamp_text([]))


def test_a_file_in_the_way_is_replaced(checkout: Path, pip: Pip) -> None:
    bootstrap.HOME.write_text("not a folder")
    bootstrap.set_up([])
    assert bootstrap.is_ready(bootstrap.stamp_text([]))


def test_a_dangling_link_is_replaced_and_a_link_to_a_folder_is_kept(checkout: Path, pip: Pip) -> None:
    bootstrap.HOME.symlink_to(checkout / "other disk")
    bootstrap.set_up([])
    assert bootstrap.is_ready(bootstrap.stamp_text([]))
    assert not bootstrap.HOME.is_symlink()
    bootstrap.HOME.rename(checkout / "other disk")
    bootstrap.HOME.symlink_to(checkout / "other disk")
    bootstrap.STAMP.write_text(bootstrap.UNFINISHED)
    bootstrap.set_up([])
    assert bootstrap.is_ready(bootstrap.stamp_text([]))
    assert bootstrap.HOME.is_symlink()


def test_a_full_disk_is_one_sentence(checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(own_pip: bool) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(bootstrap, "make_venv", fill)
    with pytest.raises(bootstrap.SetupFault, match=r"^the disk is full, .* make room"):
        bootstrap.set_up([])


def test_an_index_that_does_not_answer_is_told_at_once_and_once(
    checkout: Path, pip: Pip, capfd: pytest.CaptureFixture[str]
) -> None:
    pip.plays("WARNING: Retrying (Retry(total=4)) ...\nWARNING: Retrying (Retry(total=3)) ...", 0)
    bootstrap.set_up([])
    assert capfd.readouterr().err.count("does not answer, trying again") == 1


def test_a_terminal_sees_what_is_being_fetched(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bootstrap.show_progress(["Collecting numpy", "Collecting numba<0.70,>=0.61"])
    bootstrap.show_progress(["Installing collected packages: numpy, numba"])
    bootstrap.show_progress(["Downloading something"])
    said = [line.strip() for line in capfd.readouterr().err.split("\r\x1b[K")]
    assert said == ["", "foliolab: fetching numba, package 2", "foliolab: installing the packages"]


def test_a_folder_that_cannot_be_written_is_one_sentence(
    checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "HOME", checkout / "pyproject.toml" / ".venv")
    with pytest.raises(bootstrap.SetupFault, match=r"cannot be written .* make the folder writable"):
        bootstrap.set_up([])


def test_a_folder_whose_name_does_not_do_is_one_sentence(
    checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "HOME", checkout / f"a{os.pathsep}b" / ".venv")
    with pytest.raises(bootstrap.SetupFault, match="move the checkout"):
        bootstrap.set_up([])


def test_a_python_without_venv_is_one_sentence(checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "venv", None)
    with pytest.raises(bootstrap.SetupFault, match="apt-get install python3-venv"):
        bootstrap.set_up([])


def test_a_broken_environment_does_not_mend_itself_from_inside(
    checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(bootstrap.HOME))
    with pytest.raises(bootstrap.SetupFault, match="start again with the system's"):
        bootstrap.set_up([])


def test_two_first_starts_do_not_meet(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    waiting = threading.Event()
    real = fcntl.flock

    def flock(handle: int, mode: int) -> None:
        if not mode & fcntl.LOCK_NB:
            waiting.set()
        real(handle, mode)

    with bootstrap.alone():
        monkeypatch.setattr(fcntl, "flock", flock)
        # No pip is played: the second start would fail if it did the work again.
        monkeypatch.setattr(bootstrap, "set_up", lambda extras: pytest.fail("set up twice"))
        results: list[str] = []
        second = threading.Thread(target=lambda: results.append(bootstrap.interpreter([], ["no_such_module"])))
        second.start()
        assert waiting.wait(10)
        complete()
    second.join(10)
    assert results == [str(bootstrap.PYTHON)]
    assert "waiting for another start" in capfd.readouterr().err


def test_a_file_system_without_locks_does_not_stop_the_start(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, mode: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with bootstrap.alone():
        pass
