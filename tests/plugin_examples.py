"""The plugin files that a page of the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "tutorials" / "report-and-view.md"


def write(folder: Path, name: str) -> Path:
    """Write a file of the page into a folder."""
    found = re.search(rf"^````\{{foliolab-file\}} {re.escape(name)}\n(.*?)^````$", PAGE.read_text(), re.M | re.S)
    assert found is not None, name
    (folder / name).write_text(found[1])
    return folder / name
