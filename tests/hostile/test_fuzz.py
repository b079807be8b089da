"""A small run of `tests/benchmarks/fuzz.py` with fixed seeds: no reader fails, hangs or takes too much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import fuzz
from jail import outcomes
from mutations import mutants
from readers import all_readers, warm

INPUTS = 5
"""The suite tries this many mutants of each seed."""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is read from /proc")


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        from foliolab.framework.plugins import registry

        patch.setattr(registry, "load", registry.load)  # `warm` replaces it
        warm(tmp_path_factory.mktemp("warm"))
        yield


def test_mutants_are_the_same_for_the_same_seed() -> None:
    data = b'{"a": [1, 2, {"b": "x"}]}\n'
    assert [*mutants(data, 50, 3)] == [*mutants(data, 50, 3)] != [*mutants(data, 50, 4)]
    assert sum(one != data for one in mutants(data, 50, 3)) > 40


def test_the_jail_tells_what_goes_wrong(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        match path.read_bytes():
            case b"hang":
                while True:
                    pass
            case b"memory":
                sys.stderr.write(str(len(bytearray(1 << 30))))
            case b"fail":
                raise KeyError("x")
            case b"die":
                os._exit(9)
            case b"quiet":
                sys.stderr.write("foliolab: it is wrong\n")
                raise SystemExit(2)
            case b"named":
                sys.stderr.write(f"foliolab: {path} is wrong\n")
                raise SystemExit(2)

    inputs = [b"good", b"fail", b"memory", b"die", b"quiet", b"named", b"good"]
    found = [one.wrong for one in outcomes(read, inputs, tmp_path / "x")]
    assert found == ["", "traceback", "memory", "traceback", "unnamed", "", ""]


WINDOW = "window's settings"
"""It needs a process of its own: Qt's threads, which other tests have begun, do not survive the jail's fork."""


def test_the_window_takes_damaged_settings() -> None:
    words = [fuzz.__file__, "--readers", WINDOW, "--mutations", "100"]
    done = subprocess.run([sys.executable, "-P", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert WINDOW in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("patched")
def test_no_reader_fails_on_damaged_files(tmp_path: Path) -> None:
    wrong = []
    for reader in all_readers(tmp_path):
        if reader.name == WINDOW:
            continue
        found = fuzz.take(reader, INPUTS * len(reader.seeds), 1, tmp_path)
        assert len(found) >= INPUTS * reader.share
        wrong += [(reader.name, one) for one in found if one.wrong]
    assert not wrong, json.dumps([(name, vars(one)) for name, one in wrong[:5]], indent=1)
