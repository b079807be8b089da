"""Files that the command line reads and no workspace shows as they are: tracers' output, other results."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework import intake
from foliolab.gui.window.jobs import Say, Step
from foliolab.gui.window.outputs import open_outside

if TYPE_CHECKING:
    from collections.abc import Callable

    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.jobs import Work

HEAD: Final = 1 << 16
"""Bytes at the beginning of a file that decide whether a tracer wrote it."""
REPORTED: Final = ("partial", "kernel-counts")
"""Kinds of results that are not of policies; each is shown as the page that `foliolab report` writes."""


class ForeignFiles:
    """Opens such files: a job makes a trace, which Explore opens, or a page.

    Args:
        desk: has the jobs, the notices, and opens the trace.
        folder: where traces and pages are written.
    """

    def __init__(self, desk: Desk, folder: Path) -> None:
        self._desk = desk
        self._folder = folder

    def open(self, path: Path) -> bool:
        """Begin to open a file; return whether it is one of these."""
        if not path.is_file():
            return False
        if path.suffix == ".json":
            from foliolab.framework.report.result_files import kind_of

            if kind_of(path) not in REPORTED:
                return False
            self._start(f"Writing a page of {path.name}", report, path, path.with_suffix(".html").name, self._show)
        elif is_of_tracer(path) or self._desk.library.registry.trace_readers:
            self._start(f"Importing {path.name}", convert, path, f"{path.name}.folio", self._desk.open)
        else:
            return False
        return True

    def _start(self, title: str, work: Work, path: Path, name: str, done: Callable[[Path], object]) -> None:
        whose = sha256(str(path.resolve()).encode()).hexdigest()[:12]  # files of two folders may have one name
        out = self._folder / whose / name
        job = self._desk.jobs.start(title, work, path, out, tuple(self._desk.library.sound))
        job.answered.connect(done)
        job.failed.connect(self._desk.notices.fault)

    def _show(self, page: Path) -> None:
        text = f"{page} is written: what the file says, as a page"
        self._desk.notices.say(text, offer=("Open it", partial(open_outside, page, self._desk.notices)))


def is_of_tracer(path: Path) -> bool:
    """Whether a file is a tracer's recording, a compressed file, or a text that a reader of FolioLab recognises."""
    from foliolab.framework.trace.importers import READERS, is_packed

    head = intake.head(path, HEAD)
    text = head.decode("utf-8", "replace")
    return is_packed(head) or any(reader.recognise(text) for reader in READERS.values())


def convert(path: Path, out: Path, plugins: tuple[str, ...], say: Say) -> Path:
    """Make a trace of what a tracer wrote; the work of a job.

    Args:
        plugins: policy files, whose readers are asked, too.

    Raises:
        FolioLabError: no reader recognises it, or it cannot be read.
    """
    from foliolab.framework.plugins import registry
    from foliolab.framework.trace import importers

    def tell(done: int, total: int) -> None:
        say(Step("MiB read", done >> 20, total >> 20))

    out.parent.mkdir(parents=True, exist_ok=True)
    readers = importers.with_plugins(registry.load([*plugins]).trace_readers.values())
    importers.convert(path, out, "", readers, tell=tell)
    return out


def report(path: Path, out: Path, plugins: tuple[str, ...], say: Say) -> Path:
    """Write the page that `foliolab report` writes of a result; the work of a job.

    Args:
        plugins: not needed.
        say: not needed.

    Raises:
        FolioLabError: the result cannot be read, or the page cannot be written.
    """
    from foliolab.framework.document import write_atomically
    from foliolab.framework.report import formats, result_files
    from foliolab.framework.results.result import Result

    result = result_files.load(path)
    assert not isinstance(result, Result)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, formats.study_text(result, "html").encode())
    return out
