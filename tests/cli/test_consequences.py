"""`foliolab consequences` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PATTERN = """
from foliolab.framework.api import SharingPattern

def play(processes, usage):
    parent = processes.start()
    processes.populate(parent, 0, usage.nr_pages)
    children = [processes.fork(parent) for _ in range(usage.mms - 1)]
    for process in [parent, *children[:-1]]:
        processes.exit(process)

PATTERN = SharingPattern(name="mine", summary="a third party's", play=play)
"""
INTERPRETED = ("--execution", "interpreted")


def test_a_scenario(foliolab: Any, tmp_path: Path) -> None:
    done = foliolab("consequences", "third-stays", *INTERPRETED, "--json", tmp_path / "c.json")
    assert done.code == 0
    matrix, source = done.out.split("third-stays, 6 moments")
    assert "page-mapcount" in matrix and "no-page-mapcount" in matrix
    assert "▲ not done although exclusive" in matrix and "Not modelled: NUMA nodes" in matrix
    assert "▲ first: mm-id, madvise, third-stays, B: exit: MM 2, folio 0" in source
    assert "nothing differs from the truth: exact" in source
    found = json.loads((tmp_path / "c.json").read_bytes())
    assert found["kind"] == "consequences" and found["complete"]
    assert [one["policy"] for one in found["courses"][0]["outcomes"]] == [
        "page-mapcount", "mm-id", "no-page-mapcount", "exact",
    ]  # fmt: skip


def test_a_third_partys_pattern_and_a_file(foliolab: Any, tmp_path: Path) -> None:
    plugin, scenario = tmp_path / "mine.py", tmp_path / "own.scenario"
    plugin.write_text(PATTERN)
    scenario.write_text("scenario own\n| Nothing is shared.\n\nregion heap: 1 x 64K pte\n\nA: write heap[0]\n")
    done = foliolab(
        "consequences", "mine", scenario, "--policies", "mm-id,exact", "--plugin", plugin, "--mms", "3", *INTERPRETED
    )
    assert done.code == 0
    assert "a third party's" in done.out
    assert "nothing differs from the truth: mm-id, exact" in done.out.split("own, 1 moments")[1]
    assert "process 2 exits" in done.out


def test_a_microbenchmark_of_a_size(foliolab: Any) -> None:
    done = foliolab("consequences", "fork", "--size", "16K", "--policies", "exact", *INTERPRETED)
    assert done.code == 0
    assert "fork, 16 KiB folios, " in done.out


def test_plain_ascii(foliolab: Any, monkeypatch: pytest.MonkeyPatch, process: Any) -> None:
    done = process("consequences", "third-stays", *INTERPRETED, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii() and "^ " in done.stdout


ASKER = """
from foliolab.framework.api import Asker

def ask(moment):
    return moment.by_answer(moment.pairs.where(moment.anon[moment.pairs.heads]))

ASKER = Asker(name="mine", who="my kernel", when="now and then", exclusive="does this", shared="does that",
              source="a mail of mine about it", ask=ask)
"""


def test_a_third_partys_asker(foliolab: Any, tmp_path: Path) -> None:
    plugin, file = tmp_path / "mine.py", tmp_path / "c.json"
    plugin.write_text(ASKER.replace("pairs.heads]", "pairs.head]"))
    chosen = ("consequences", "third-stays", "--policies", "mm-id", "--plugin", plugin, *INTERPRETED)
    done = foliolab(*chosen, "--json", file)
    assert done.code == 0
    [row] = [line for line in done.out.splitlines() if line.startswith("mine ")]
    assert "a mail of mine abou… " in row and "▲" in row and "does this" in done.out
    assert json.loads(file.read_bytes())["askers"][-1]["shared"] == "does that"
    few = foliolab(*chosen, "--askers", "mine,scan")
    assert "mine" in few.out and "scan" in few.out and "madvise" not in few.out
    assert "khugepaged-64k" in foliolab(*chosen, "--askers", "all").out


def test_a_broken_asker_is_one_line(foliolab: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(ASKER)
    done = foliolab(
        "consequences", "third-stays", "last-child", "--policies", "mm-id,exact", "--moments", "4", "--plugin", plugin,
        *INTERPRETED,
    )  # fmt: skip
    assert done.code == 4
    [line] = [line for line in done.out.splitlines() if "asker mine failed" in line]
    assert "AttributeError" in line and f"{plugin}:5" in line
    assert "madvise" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zygot"], "there is no pattern, workload or scenario 'zygot'"),
        (["zygote", "--size", "4K"], "is not one size of a large folio"),
        (["zygote", "--size", "16K,64K"], "is not one size of a large folio"),
        (["zygote", "--policies", "mmid"], "there is no policy 'mmid'"),
        (["no/such.scenario"], "no/such.scenario"),
        (["zygote", "--json", "/no/such/folder/c.json"], "there is no folder"),
        (["zygote", "--mms", "1"], "--mms"),
        (["zygote", "--askers", "khugepage"], "there is no asker 'khugepage'"),
        (["zygote", "--askers", ","], "no asker is named"),
    ],
)
def test_bad_requests(foliolab: Any, arguments: list[str], said: str) -> None:
    done = foliolab("consequences", *arguments)
    assert done.code == 2
    assert said in done.err
    assert not done.out
