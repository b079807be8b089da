"""The copy of an example on which a tour works, so that neither the example nor a file of the reader changes."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from foliolab.framework.errors import FolioLabError

if TYPE_CHECKING:
    from foliolab.gui.tours.stop import Tour


def working_copy(tour: Tour, folder: Path, *, anew: bool) -> Path:
    """The copy of a tour's example, which is made if there is none.

    Args:
        tour: has the example.
        folder: where copies are.
        anew: begin with the example's text. A copy that the reader has changed in other ways than the tour asks for
            is kept under another name.

    Raises:
        FolioLabError: the copy cannot be written.
    """
    example = tour.example
    if example is None:
        return folder
    path = folder / example.name
    text = example.read_text(encoding="utf-8")
    try:
        if path.exists() and not anew:
            return path
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and _own_work(path, {text, tour.repaired(text) if tour.repaired else text}):
            path.rename(next(free for number in count(1) if not (free := _numbered(path, number)).exists()))
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise FolioLabError(
            f"the tour's copy of {example.name} cannot be written: {fault}", f"make room or rights in {folder}"
        ) from fault
    return path


def _own_work(path: Path, known: set[str]) -> bool:
    """Whether a file has a text that is not known, and that would be lost."""
    try:
        return path.read_text(encoding="utf-8") not in known
    except UnicodeDecodeError:
        return True


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")
