"""Sharing patterns of a third party, and the verb as a user meets it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework.plugins.registry import load

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
(GOOD,) = re.findall(r"```python good-pattern\n(.*?)```", TEXT, re.DOTALL)


def plugin(folder: Path, text: str = GOOD) -> Path:
    file = folder / "mine.py"
    file.write_text(text)
    return file


def foliolab(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "foliolab.framework.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


SMALL = ("--execution", "interpreted", "--folios", "2", "--size", "16K")


def test_a_plain_file_offers_a_pattern(tmp_path: Path) -> None:
    found = load([plugin(tmp_path)])
    assert found.pattern("orphans").summary == "children outlive their parent"
    assert found.plugins[-1].offers["patterns"] == ("orphans",)
    assert not found.failures


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("processes, usage)", "processes)"), "play is not a function of (processes, usage)"),
        (("play=play", "play=3"), "play is not a function"),
        (('"orphans"', '"Orphans!"'), "a name is lower-case letters"),
        (('"orphans"', '"snapshot"'), "is already given by"),
        (("= SharingPattern(", "= dict("), "PATTERN yields a dict"),
    ],
)
def test_a_broken_one_is_named_and_stops_nothing(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    found = load([plugin(tmp_path, GOOD.replace(*change))])
    (failure,) = found.failures
    assert "mine.py" in failure.message
    assert message in failure.message
    assert "snapshot" in found.patterns


def test_it_is_listed_and_played(tmp_path: Path) -> None:
    file = plugin(tmp_path)
    assert "children outlive their parent" in foliolab("list", "--plugin", file).stdout
    path = tmp_path / "r.json"
    done = foliolab(
        "precision", "orphans", "--plugin", file, "--policies", "mm-id,exact", "--mms", "1-3", "--json", path, *SMALL
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_bytes())
    assert found["mms"] == [1, 2, 3]
    assert [(p["mms"], p["policy"]) for p in found["points"]] == [(k, p) for k in (1, 2, 3) for p in ("mm-id", "exact")]
    assert "always 0: exact" in done.stdout
    assert "100 % exit: nothing mapped" in done.stdout


def test_the_shares_by_operations_and_a_list_of_workloads(tmp_path: Path) -> None:
    done = foliolab(
        "precision", "last-child,snapshot", "--policies", "mm-id", "--mms", "3,2", "--by", "operations", *SMALL
    )
    assert done.returncode == 0, done.stderr
    shares = done.stdout.partition("The same by the number of MMs: % of operations")[2]
    name, policy, with_two, with_three = next(line for line in shares.splitlines() if "mm-id" in line).split()
    assert (name, policy, with_two) == ("last-child", "mm-id", "0")
    assert float(with_three) > 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["snapshots"], "there is no sharing pattern 'snapshots'"),
        (["no/such.trace"], "there is no sharing pattern 'no/such.trace'"),
        (["--mms", "0"], "there cannot be 0 MMs"),
        (["--mms", "1-65"], "there cannot be 65 MMs"),
        (["--mms", "many"], "'many' is not a number of MMs"),
        (["--mms", "5-2"], "names no number"),
        (["--size", "8K"], "no anonymous folios of order 1"),
        (["--size", "4K"], "cannot be chosen"),
        (["--size", "16K,64K"], "more than one folio size"),
        (["--size", "2M", "--folios", "999"], "are more than 256 MiB"),
        (["--by", "luck"], "there is no measure 'luck'"),
        (["--policies", "mmid"], "there is no policy 'mmid'"),
        (["--memory", "3"], "has no unit"),
        (["--json", "/no/such/folder/r.json"], "cannot be written"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], message: str) -> None:
    done = foliolab("precision", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
