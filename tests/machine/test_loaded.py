"""Native code from the cache runs without numba; without the cache, or with a spoilt entry, it is built."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from foliolab.framework.errors import NativeBuildError
from foliolab.framework.machine import cache, toolchain

native = pytest.importorskip("foliolab.framework.machine.native", reason="numba is missing")
loaded = pytest.importorskip("foliolab.framework.machine.loaded", reason="llvmlite is missing")

SCRIPT = """
import sys
from foliolab.framework.machine import native, selftest, toolchain

assert toolchain.missing() == ""
assert selftest.run() == selftest.ANSWER and native.yields() == 0
print("numba" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "native"))
    return tmp_path / "native"


def imports_numba() -> bool:
    """Whether a process that runs native code imports numba."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout == "True\n"


def test_what_is_in_the_cache_runs_without_numba(folder: Path) -> None:
    assert imports_numba()
    assert not imports_numba()
    files = sorted(folder.glob("*/*.native"))
    assert len(files) == 2, "the function, and that numba can be imported"
    entry = next(file for file in files if loaded.HEAD in file.read_bytes())
    cache.write(entry.stem, b"signed, and no object file")
    assert imports_numba()
    assert loaded.HEAD in entry.read_bytes(), "it was built again"


def test_no_object_file_is_refused() -> None:
    with pytest.raises(ValueError, match="no object file"):
        loaded.Loaded(b"\x7fELF")


def test_numba_that_is_gone_is_missed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier process remembered does not count for another place, and building says what is missing."""
    from foliolab.framework.machine import selftest

    assert toolchain.missing() == ""
    monkeypatch.setitem(sys.modules, "numba", None)
    assert toolchain.missing().startswith("numba cannot be imported")
    monkeypatch.setitem(sys.modules, "foliolab.framework.machine.builder", None)
    with pytest.raises(NativeBuildError, match="numba cannot be imported"):
        selftest.run()


def test_a_numba_that_does_not_work_is_missed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "numba"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('it needs another numpy')\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "numba"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert toolchain.missing() == "numba cannot be imported (it needs another numpy)"


def test_a_package_without_metadata_tells_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    known = toolchain._release("numba")

    def none(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", none)
    assert toolchain._release("numba") == known
    with pytest.raises(ImportError):
        toolchain._release("no_such_package_at_all")
