"""The policy files of the last session: they are code, so they are offered, and loaded only when the user says so."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from foliolab.framework.errors import FolioLabError
from foliolab.gui.window.watched import is_present, short_name

if TYPE_CHECKING:
    from foliolab.gui.window.library import Library
    from foliolab.gui.window.notices import Notices
    from foliolab.gui.window.settings import Settings

KEPT: Final = "window/policies"


class OfferedFiles:
    """The files that are offered, and what the settings keep of them."""

    def __init__(self, library: Library, notices: Notices, settings: Settings) -> None:
        self._library, self._notices, self._settings = library, notices, settings
        self._offered: list[str] = []

    def offer(self, together: bool) -> None:
        """Offer to load the kept files that still exist and are not open.

        Args:
            together: by one notice; otherwise each by one of its own, since one of them may have ended the last window.
        """
        kept = [file for file in self._settings.texts(KEPT) if is_present(file)]
        files = self._offered = [file for file in kept if file not in self._library.files]
        if together and files:
            names = ", ".join(map(short_name, files))
            load = partial(self._load, files)
            self._notices.say(f"open before: {names}", "warning", "\n".join(files), ("Load again", load))
            return
        for file in files:
            text = f"the last window ended unexpectedly; {short_name(file)} was open in it, and is not loaded"
            self._notices.say(text, "warning", file, ("Load it", partial(self._load, [file])))

    def _load(self, files: list[str]) -> None:
        self._offered = [file for file in self._offered if file not in files]
        for file in files:
            try:
                self._library.open(file)
            except FolioLabError as fault:
                self._notices.fault(fault)

    def keep(self) -> None:
        """Store which files are open or still offered, at once: a later crash leaves no time for it."""
        files = list(dict.fromkeys([*self._library.files, *self._offered]))
        if files != self._settings.texts(KEPT):
            self._settings.keep(KEPT, files)
            self._settings.write()
