"""The texts of a policy: its file; of a policy in C, its C files and their translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework import intake
from foliolab.framework.csource.place import Place
from foliolab.framework.csource.textmodule import places_of, translation_of
from foliolab.framework.errors import FolioLabError
from foliolab.framework.plugins.declaration import module_of
from foliolab.gui.policies.listing import location_of, source_of
from foliolab.gui.widgets.source_view import Kind

if TYPE_CHECKING:
    from foliolab.gui.policies.listing import Entry
    from foliolab.gui.window.checked import Checked
    from foliolab.gui.window.library import Library

LARGEST: Final = 4 << 20
"""Bytes of a file that are shown, at most."""
TRANSLATION: Final = "translation"


@dataclass(frozen=True)
class Text:
    """A text, and the line that is marked in it.

    Args:
        path: its file; empty for a translation, which has none of its own.
        line: the number of the marked line; 0 for none.
        kind: of the mark.
        translated: the translation; empty for the text of a file.
        places: the C line of each line of the translation.
    """

    path: str
    line: int = 0
    kind: Kind = "step"
    translated: str = ""
    places: Sequence[Place] = ()

    @property
    def title(self) -> str:
        """What a list of texts shows."""
        return TRANSLATION if self.translated else Path(self.path).name

    def read(self) -> str:
        """The text; where it cannot be read, why. A translation names C files without their folders."""
        if self.translated or not self.path:
            text = self.translated
            for file in {place.file for place in self.places if place.file}:
                text = text.replace(file, Path(file).name)
            return text
        try:
            return intake.read(self.path, "source file", most=LARGEST).decode(errors="replace")
        except FolioLabError as fault:
            return fault.what

    def line_of(self, wanted: Place) -> int:
        """The line that stands for a C line, or of a translation for the next one that it has; 0 if there is none."""
        if not self.translated:
            return wanted.line if wanted.file == self.path else 0
        found = [
            (place.line, number) for number, place in enumerate(self.places, 1)
            if place.file == wanted.file and place.line >= wanted.line
        ]  # fmt: skip
        return min(found)[1] if found else 0

    def place_at(self, line: int) -> Place:
        """The C line that a line stands for, or of a translation the last one before it that stands for any."""
        if not self.translated:
            return Place(self.path, line)
        before = [place for place in self.places[:line] if place.file]
        return before[-1] if before else Place()


def texts_of(library: Library, entry: Entry, checked: Checked | None) -> list[Text]:
    """The texts of an entry; the first one is that to show.

    Args:
        checked: the result of the last check, which may name another line.
    """
    file, line = source_of(library, entry)
    first = Text(file, line, "error" if entry.broken else "step")
    if checked is not None and checked.state == "failed":
        failed_in, number = location_of(checked.message)
        if failed_in and Path(failed_in) == Path(file):
            first = replace(first, line=number, kind="error")
    module = None if entry.broken else module_of(library.registry.policies[entry.name])
    translation = translation_of(module)
    if not translation:
        return [first]
    places = places_of(translation)
    others = dict.fromkeys(place.file for place in places if place.file not in ("", file))
    return [first, *(Text(one) for one in others), Text("", translated=translation, places=places)]
