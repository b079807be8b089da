"""The picture of the design shows the rooms that there are, in the order that the import contract has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

storeys = pytest.importorskip("foliolab_docs.storeys", reason="the extra `docs` is not installed")

ROOT = Path(__file__).parents[2]
FRAMEWORK = ROOT / "framework"


def test_every_room_of_the_framework_has_its_storey() -> None:
    folders = {file.parent.name for file in FRAMEWORK.glob("*/__init__.py")}
    files = {file.stem for file in FRAMEWORK.glob("*.py")} - {"__init__"}
    assert set(storeys.rooms()) | set(storeys.SUPPORT) == folders | files | {"gui"}


def test_rooms_import_from_their_storey_and_below() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["name"] == "The framework's rooms import downwards only")
    order = [room for layer in layers for room in re.findall(r"\w+", layer) if room not in storeys.SUPPORT]
    names = list(storeys.STOREYS)
    heights = [names.index(storeys.rooms()[room]) for room in order]
    assert heights == sorted(heights)


def test_the_page_shows_every_room() -> None:
    text = "\n".join(storeys.part())
    assert "{foliolab-generated} storeys" in (ROOT / "docs" / "design.md").read_text("utf-8")
    for room, storey in storeys.rooms().items():
        assert re.search(rf"^\| {storey} \| .*\| `{room}` \|", text, re.MULTILINE), room
    if storeys.picture.available():
        drawn = text[: text.index("| storey |")]
        assert all(room in drawn for room in storeys.rooms())
