"""The work of a job that translates C text: what it finds lies in the cache, where the window's registry reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from foliolab.framework.errors import FolioLabError
from foliolab.gui.window.jobs import Step
from foliolab.gui.window.watched import short_name

if TYPE_CHECKING:
    from foliolab.framework.plugins.discovery import PluginFailure


def translate(files: Sequence[str], say: Callable[[object], None]) -> dict[str, PluginFailure | None]:
    """Translate C files and kernel trees.

    Args:
        files: their names.
        say: called with `Step`.

    Returns:
        for each why it has no translation; None if it has one.
    """
    found = {}
    for number, file in enumerate(files):
        say(Step(short_name(file), number, len(files)))
        found[file] = _failure(file)
    return found


def _failure(file: str) -> PluginFailure | None:
    from foliolab.framework.plugins.discovery import Attempt, source_of

    try:
        source = source_of(file)
    except FolioLabError as fault:
        return failed(file, fault)
    return Attempt(source).prepare()


def failed(file: str, fault: FolioLabError) -> PluginFailure:
    """The failure of a file that could not even be tried."""
    from foliolab.framework.plugins.discovery import PluginFailure

    message = f"{fault.what} ({fault.hint})" if fault.hint else fault.what
    return PluginFailure(short_name(file), file, "find", message)
