"""Directives that run FolioLab when a page is built, and show what it printed.

    ```{foliolab}
    :exit: 1
    :from: ^Refuted
    :to: ^schedule
    foliolab verify mine --plugin my.py
    ```

Commands of a page run in one folder of its own, one after the other; `{foliolab-file} NAME` shows a file and puts it
there. A command that ends otherwise than `:exit:` says is a warning, which fails a build with -W. `:from:` and `:to:`
are patterns of the first and the last line to show; what is left out stands as an ellipsis. `:kernel:` is for what asks
the running kernel (as root, and it changes settings of the machine): such a block is run only where
FOLIOLAB_DOCS_KERNEL=1.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from foliolab_docs import policypages

SECONDS: Final = 300
ELLIPSIS: Final = "…"
_folders: Final[dict[str, tempfile.TemporaryDirectory[str]]] = {}


def folder_of(page: str) -> Path:
    """The folder in which a page's commands run."""
    if page not in _folders:
        _folders[page] = tempfile.TemporaryDirectory(prefix="foliolab-docs-")
    return Path(_folders[page].name)


def forget() -> None:
    """Remove the folders of all pages."""
    while _folders:
        _folders.popitem()[1].cleanup()


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `foliolab …` in a folder.

    Raises:
        subprocess.TimeoutExpired: it did not end.
    """
    program, *arguments = shlex.split(command)
    if program != "foliolab":
        raise ValueError(f"{command!r} does not begin with foliolab")
    return subprocess.run(
        [sys.executable, "-P", "-m", "foliolab.framework.cli", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
        env=os.environ | {"PYTHONUTF8": "1", "NO_COLOR": "1"},
    )


def shown(text: str, folder: Path, first: str = "", last: str = "") -> str:
    """An output as a page shows it: a part of it, without this machine's paths.

    Raises:
        ValueError: no line is like one of the patterns.
    """
    import foliolab

    package = str(Path(foliolab.__file__).parent)
    text = text.replace(f"{folder}/", "").replace(f"{package}/", "")
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    begin = _find(lines, first, 0) if first else 0
    end = _find(lines, last, begin) + 1 if last else len(lines)
    head = [ELLIPSIS] if begin else []
    tail = [ELLIPSIS] if end < len(lines) else []
    return "\n".join([*head, *lines[begin:end], *tail])


def _find(lines: list[str], pattern: str, start: int) -> int:
    for number in range(start, len(lines)):
        if re.search(pattern, lines[number]):
            return number
    raise ValueError(f"no line is like {pattern!r}")


class Commands(SphinxDirective):
    """Commands, and what they print."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "exit": directives.nonnegative_int,
        "from": directives.unchanged_required,
        "to": directives.unchanged_required,
        "kernel": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """The commands, then their output."""
        commands = [line.strip() for line in self.content if line.strip()]
        made: list[nodes.Node] = [_block("\n".join(commands), "sh", "foliolab-command")]
        if "kernel" in self.options and os.environ.get("FOLIOLAB_DOCS_KERNEL") != "1":
            said = "This asks the running kernel, as root; it was not run when this page was built."
            return [*made, nodes.paragraph(said, said, classes=["foliolab-not-run"])]
        for output in self._outputs(commands):
            made.append(_block(output, "text", "foliolab-output"))
        return made

    def _outputs(self, commands: list[str]) -> Iterator[str]:
        self.env.note_dependency(str(policypages.FOLDER / policypages.STAMP))
        folder = folder_of(self.env.docname)
        for command in commands:
            last = command == commands[-1]
            expected = self.options.get("exit", 0) if last else 0
            try:
                done = run(command, folder)
                if done.returncode != expected:
                    self._warn(f"{command}: exit code {done.returncode}, not {expected}: {done.stderr or done.stdout}")
                if last:
                    yield shown(done.stdout, folder, self.options.get("from", ""), self.options.get("to", ""))
            except (ValueError, subprocess.TimeoutExpired) as fault:
                self._warn(f"{command}: {fault}")

    def _warn(self, message: str) -> None:
        self.state.document.reporter.warning(message, line=self.lineno)


class File(SphinxDirective):
    """A file that the commands of the page find where they run."""

    has_content = True
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The file's text."""
        name = self.arguments[0]
        text = "\n".join(self.content) + "\n"
        (folder_of(self.env.docname) / name).write_text(text, "utf-8")
        block = _block(text.rstrip(), "python" if name.endswith(".py") else "scenario", "foliolab-file")
        caption = nodes.caption(name, name)
        return [nodes.container("", caption, block, classes=["literal-block-wrapper"], literal_block=True)]


def _block(text: str, language: str, name: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language, classes=[name])
