"""Policies under callers, as a user meets them: show, run, verify, step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_show(foliolab: Any) -> None:
    shown = foliolab("show", "fork-page-by-page")
    assert shown.code == 0
    assert "copy_present_ptes" in shown.out and "changes fork, copy_range" in shown.out
    assert "def copy_one_pte" in foliolab("show", "fork-page-by-page", "--text").out
    assert json.loads(foliolab("show", "mremap-6-17", "--json").out)["operations"] == ["mremap"]
    assert "mremap-6-17" in foliolab("list").out


def test_run_under_a_caller(foliolab: Any, tmp_path: Path) -> None:
    file = tmp_path / "moved.scenario"
    file.write_text(
        "scenario moved\n| An mremap of pages that are not equally writable.\n\nregion heap: 2 x 16K pte\n\n"
        "A: fork B\nB: exit\nA: write heap[0]\nA: mremap heap[0-3] to heap[4]\nA: write heap[5]\n"
    )
    plain, wrong = (foliolab("run", file, *more) for more in ((), ("--caller", "mremap-6-17")))
    assert plain.code == 0 and wrong.code in (0, 1)
    assert "mm-id+mremap-6-17" in wrong.out and "mm-id+" not in plain.out
    last = [[line for line in done.out.splitlines() if "A: write heap[5]" in line] for done in (plain, wrong)]
    assert "reused" in last[0][0] and "reused" not in last[1][0]
    assert foliolab("run", file, "--caller", "fork").code == 2


def test_a_result_says_which_caller_it_is_about(foliolab: Any, tmp_path: Path) -> None:
    """And no figure that was published about Linux stands beside it."""
    small = ("--workloads", "fork", "--sizes", "16K", "--memory", "1M", "--repeats", "2", "--execution", "interpreted")
    file = tmp_path / "result.json"
    done = foliolab(
        "compare", "--caller", "fork-page-by-page", "--policies", "mm-id,page-mapcount", *small, "--json", file
    )
    assert done.code == 0, done.err
    assert "operations proceed as the caller fork-page-by-page says" in done.out and "published" not in done.out
    assert json.loads(file.read_bytes())["config"]["baseline"] == "mm-id+fork-page-by-page"
    assert "caller fork-page-by-page" in foliolab("report", file, "--format", "md").out
    assert "there is no caller 'fork'" in foliolab("compare", "--caller", "fork", *small).err


PROGRAM = {
    "schema": 1,
    "policy": "mm-id", "attack": "explored", "law": "anon-exclusive", "claim": "", "message": "", "schedule": "0*1 1*1",
    "shape": {"nr_pages": 16, "nr_mms": 3, "nr_vpns": 8, "nr_cpus": 2, "max_order": 2, "contents": 0, "scratch": 0},
    "setup": [
        "create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1", "exit mm=1", "write mm=0 start=0",
    ],
    "threads": [["mremap mm=0 start=0 to=4 nr=4"], ["maybe_shared pfn=0"]],
}  # fmt: skip


def test_verify_writes_a_counterexample_that_step_replays(foliolab: Any, tmp_path: Path) -> None:
    program = tmp_path / "program.json"
    program.write_text(json.dumps(PROGRAM))
    arguments = ("verify", "mm-id", "--program", program, "--budget", "3", "--jobs", "0", "-o", tmp_path / "found")
    assert foliolab(*arguments).code in (0, 5)
    done = foliolab(*arguments, "--caller", "mremap-6-17")
    assert done.code == 1 and "mm-id+mremap-6-17" in done.out
    [file] = (tmp_path / "found").glob("*anon-exclusive.json")
    assert json.loads(file.read_bytes())["policy"] == "mm-id+mremap-6-17"
    stepped = foliolab("step", file)
    assert stepped.code == 1 and stepped.out.startswith("mm-id+mremap-6-17: law anon-exclusive")


def test_what_makes_no_sense_is_refused(foliolab: Any) -> None:
    assert "runs no operation" in foliolab("verify", "mm-id", "--caller", "mremap-6-17", "--attacks", "symbolic").err
    assert "there is no caller 'mremap'" in foliolab("verify", "mm-id", "--caller", "mremap").err
    refused = foliolab("kernel", "check", "--self-test", "--against-caller", "mremap-6-17")
    assert refused.code != 0
