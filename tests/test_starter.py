"""The starting file of a policy loads, keeps what it claims, and can be compared, as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from foliolab.framework import registry as room
from foliolab.framework import starter
from foliolab.framework.engine.structs import layouts_of
from foliolab.framework.errors import UsageError
from foliolab.framework.verify import attacks, verifier
from foliolab.framework.verify.attack import Budget


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return starter.write("my-idea", tmp_path / starter.file_name("my-idea"))


def test_it_loads_and_nothing_is_refuted(file: Path) -> None:
    registry = room.load([file], strict=True, check=layouts_of)
    scheme = registry.policy("my-idea")
    assert file.name == "my_idea.py" and scheme.capabilities == {"safe"}
    found = verifier.verify(scheme, attacks.chosen(["random"]), Budget(1.5), lambda news: None, jobs=0)
    assert not found.refuted
    assert found.verdict("safe") == "held"


def test_without_its_lock_or_mark_it_is_refuted(file: Path) -> None:
    file.write_text(file.read_text().replace("store(folio._state, load(folio._state) | SHARED)", "pass"))
    scheme = room.load([file], check=layouts_of).policy("my-idea")
    found = verifier.verify(scheme, attacks.chosen(["random"]), Budget(1.5), lambda news: None, jobs=0)
    assert found.verdict("safe") == "refuted"


def test_it_can_be_compared(file: Path) -> None:
    from foliolab.framework.run import RunRequest, compare_run

    registry = room.load([file], check=layouts_of)
    first, workload = next(iter(registry.policies)), next(iter(registry.workloads))
    request = RunRequest(
        (first, "my-idea"), first, (workload,), (4,), 1 << 20, 1, plugins=(str(file),), execution="interpreted"
    )
    result = compare_run(request)
    assert not result.failures and all(cell.samples for cell in result.cells)


@pytest.mark.parametrize("name", ["", "My Idea", "my_idea", "-a", "a-", "1a", 'a"', "a b"])
def test_other_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no name"):
        starter.write(name, tmp_path / "x.py")
    assert not (tmp_path / "x.py").exists()


def test_no_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        starter.write("x", tmp_path / "x.py")
    with pytest.raises(UsageError, match="no Python file"):
        starter.write("x", tmp_path / "x.txt")
    assert (tmp_path / "x.py").read_text() == "mine"
