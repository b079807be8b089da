"""Shares what a workspace shows as one page: `foliolab step … --html FILE` runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework.errors import ExitCode, FolioLabError

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import Counterexample

KIND: Final = "Page (*.html)"
WRITTEN: Final = (ExitCode.GOOD, ExitCode.COMPARISON_FAILED)
"""The exit codes of `foliolab step` after it has written a page; the second says that the law breaks."""


@dataclass(frozen=True)
class Shareable:
    """What can be shared.

    Args:
        name: proposed for the file, without its suffix.
        words: of the command line, after `foliolab step`: a file or a name, and options.
        example: the counterexample, whose file takes the place of the first word.
    """

    name: str
    words: tuple[str, ...] = ()
    example: Counterexample | None = None


def share(what: Shareable, path: Path, say: Callable[[object], None]) -> Path:
    """Write the page; the work of a job.

    Args:
        path: the page's file.
        say: not needed.

    Raises:
        FolioLabError: what the command said.
    """
    with tempfile.TemporaryDirectory(prefix="foliolab-") as folder:
        words = what.words
        if what.example is not None:
            file = Path(folder) / f"{path.stem}.json"
            what.example.save(file)
            words = (str(file), *words)
        command = [sys.executable, "-m", "foliolab.framework.cli", "step", *words, "--html", str(path)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
        )
    if done.returncode not in WRITTEN or not done.stdout.startswith("written: "):
        said, _, hint = done.stderr.strip().partition("\n")
        raise FolioLabError(said.removeprefix("foliolab: ") or "the page was not written", hint.strip())
    return path
