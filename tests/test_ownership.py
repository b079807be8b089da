"""Whom FolioLab trusts with files that run."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.ownership import distrust, make_private


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a" / "b"
    make_private(made)
    return made


def given_away(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Make a path belong to another user; only root could really do it."""
    real: Callable[..., os.stat_result] = os.lstat

    def lstat(path: Any) -> os.stat_result:
        found = real(path)
        return os.stat_result((*found[:4], 4_000_000, *found[5:10])) if Path(path) == place else found

    monkeypatch.setattr(os, "lstat", lstat)


def test_ones_own_folder_in_the_folder_for_everybody(folder: Path) -> None:
    assert distrust(folder) == ""


@pytest.mark.parametrize("mode", [0o777, 0o702])
def test_a_folder_that_others_can_write_and_what_is_in_it(folder: Path, mode: int) -> None:
    folder.parent.chmod(mode)
    assert distrust(folder) == f"others can write to {folder.parent}"
    assert distrust(folder / "..") == f"others can write to {folder.parent}"


def test_a_sticky_folder_may_be_above_but_what_is_in_it_is_looked_at(folder: Path) -> None:
    folder.parent.chmod(0o1777)
    assert distrust(folder) == ""
    folder.chmod(0o777)
    assert distrust(folder) == f"others can write to {folder}"


def test_a_file_that_others_can_write(folder: Path) -> None:
    file = folder / "x.py"
    file.write_text("")
    file.chmod(0o646)
    assert distrust(file) == f"others can write to {file}"


def test_another_users_folder_above(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_away(monkeypatch, folder.parent)
    assert distrust(folder) == f"{folder.parent} belongs to the user 4000000"


def test_a_link_and_where_it_leads(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "inner").mkdir()
    (tmp_path / "hop").symlink_to("open")
    (folder / "link").symlink_to("../../hop/inner")
    assert distrust(folder / "link") == f"others can write to {tmp_path / 'open'}"
    (tmp_path / "open").chmod(0o700)
    assert distrust(folder / "link") == ""
    given_away(monkeypatch, tmp_path / "hop")
    assert distrust(folder / "link") == f"{tmp_path / 'hop'} belongs to the user 4000000"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        distrust(tmp_path / "a")


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_folders_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_private(tmp_path / "x" / "y")
        make_private(tmp_path / "x" / "y")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "x", tmp_path / "x" / "y")] == [0o700, 0o700]
