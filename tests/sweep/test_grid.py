"""The tasks of a grid: names and parameters only, each once; and what is not understood."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.plugins import registry as room
from foliolab.framework.sweep.grid import Grid, with_parameters
from foliolab.framework.sweep.task import content


@pytest.fixture(scope="module")
def grid() -> Grid:
    found = room.load()
    schemes = [found.policy(text) for text in ("page-mapcount", "mm-id-slots:slots=3")]
    workloads = [found.workload(name) for name in ("munmap", "fork")]
    return Grid(schemes, workloads, (2, 4), seeds=(1, 2), plugins=("/x/mine.py",), traces=("/x/one.trace",))


def test_a_task_a_workload_size_and_seed(grid: Grid) -> None:
    tasks = grid.tasks("compare")
    assert len(tasks) == 8 and len({task.key("v") for task in tasks}) == 8
    words = tasks[0].words
    assert "page-mapcount,mm-id-slots:slots=3" in words and words[words.index("--baseline") + 1] == "page-mapcount"
    assert words[-3:] == ("--plugin", "/x/mine.py", "--no-calibration")
    assert len({task.words[task.words.index("--repeats") + 1] for task in tasks}) == 1
    assert pickle.loads(pickle.dumps(tasks)) == tasks
    assert tasks[0].key("v") != tasks[0].key("w"), "another FolioLab, another result"


def test_the_key_is_of_the_content(tmp_path: Path) -> None:
    plugin, trace = tmp_path / "mine.py", tmp_path / "one.trace"
    keys = set()
    for text, scheme, data in (("a", "mm-id", "x"), ("b", "mm-id", "x"), ("b", "exact", "x"), ("b", "exact", "y")):
        plugin.write_text(text)
        trace.write_text(data)
        content.cache_clear()
        made = Grid([room.load().policy(scheme)], plugins=(str(plugin),), traces=(str(trace),))
        (task,) = made.tasks("replay")
        keys.add(replace(task, words=("replay",)).key("v"))
    assert len(keys) == 4
    os.utime(trace, ns=(1, 1))
    assert task.changed() == str(trace)
    content.cache_clear()
    assert task.key("v") and not task.changed()


def test_the_other_kinds(grid: Grid) -> None:
    assert [task.words[1] for task in grid.tasks("verify")] == 2 * ["page-mapcount"] + 2 * ["mm-id-slots:slots=3"]
    (task,) = grid.tasks("replay")
    assert task.words[:2] == ("replay", "/x/one.trace")


def test_sizes_that_no_workload_is_for_leave_nothing(grid: Grid) -> None:
    with pytest.raises(UsageError, match="empty"):
        replace(grid, orders=(20,)).tasks("compare")


def test_parameters_are_combined() -> None:
    found = with_parameters(["exact", "mm-id-slots"], ["mm-id-slots:slots=2,3", "mm-id-slots:width=15,31"])
    assert found == ["exact", *(f"mm-id-slots:slots={s},width={w}" for s in (2, 3) for w in (15, 31))]
    for text in ("mm-id-slots", "mm-id-slots:slots", "mm-id-slots:slots=", ":slots=3=x"[:3]):
        with pytest.raises(UsageError, match="not understood"):
            with_parameters(["mm-id"], [text])
