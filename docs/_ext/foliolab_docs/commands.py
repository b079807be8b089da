"""Directives that run FolioLab when a page is built, and show what it printed.

    ```{foliolab}
    :exit: 1
    :from: ^Refuted
    :to: ^schedule
    foliolab verify mine --plugin my.py
    ```

The commands of a page run in one folder, one after the other; `{foliolab-file} NAME` shows a file and puts it there,
and `{foliolab-page} NAME` shows an HTML page that one of them has written, or that lies beside a generated page. A
command that ends with another code than `:exit:` is a warning, which fails a build with -W. `:from:` and `:to:` are
patterns of the first and the last line to show; an ellipsis stands for lines that are left out. `:kernel:` marks a
block that asks the running kernel, as root, and changes settings of the host: it is run only where
FOLIOLAB_DOCS_KERNEL=1.

Most of the time of a build goes into these commands. They begin before Sphinx reads the pages, several pages at a time,
and a directive waits for the commands of its page. A block that is not in the page's own text, but in an included file,
runs when Sphinx comes to it.

sphinxcontrib-programoutput checks exit codes, too. It cannot choose lines by patterns, gives a page no folder, runs one
command after the other, and shows the paths of this host.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from foliolab_docs import policypages

SECONDS: Final = 300
PAGES: Final = "_pages"
"""The folder of pages that commands write, beside the documentation's own."""
ELLIPSIS: Final = "…"
NOT_RUN: Final = "This asks the running kernel, as root; it was not run when this page was built."
BLOCK: Final = re.compile(
    r"^(?P<fence>`{3,})\{(?P<kind>foliolab|foliolab-file)\}(?P<name>[^\n]*)\n(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
OPTION: Final = re.compile(r"^:\w+:.*\n", re.MULTILINE)


def asks_the_kernel() -> bool:
    """Whether blocks that ask the running kernel are run."""
    return os.environ.get("FOLIOLAB_DOCS_KERNEL") == "1"


def lines_of(block: str) -> tuple[str, ...]:
    """The commands of a block."""
    return tuple(line.strip() for line in block.splitlines() if line.strip())


@dataclass(frozen=True)
class Ended:
    """How a command ended: its outcome, or why there is none."""

    command: str
    done: subprocess.CompletedProcess[str] | None = None
    fault: str = ""


def run(command: str, folder: Path) -> Ended:
    """Run `foliolab …` in a folder."""
    program, *arguments = shlex.split(command)
    if program != "foliolab":
        return Ended(command, fault=f"{command!r} does not begin with foliolab")
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "foliolab.framework.cli", *arguments],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
            env=os.environ | {"PYTHONUTF8": "1", "NO_COLOR": "1"},
        )
    except subprocess.TimeoutExpired as fault:
        return Ended(command, fault=str(fault))
    return Ended(command, done)


def run_page(blocks: Iterable[re.Match[str]], folder: Path) -> list[list[Ended]]:
    """Write the files of a page and run its commands, in their order; how each block of commands ended."""
    found = []
    for block in blocks:
        if block["kind"] == "foliolab-file":
            (folder / block["name"].strip()).write_text(block["body"], "utf-8")
        elif ":kernel:" not in block["body"] or asks_the_kernel():
            found.append([run(command, folder) for command in lines_of(OPTION.sub("", block["body"]))])
    return found


class Runs:
    """The commands of all pages, and the folders in which they run."""

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self._pages: dict[str, Future[list[list[Ended]]]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def folder(self, page: str) -> Path:
        """The folder in which a page's commands run."""
        if page not in self._folders:
            self._folders[page] = Path(tempfile.mkdtemp(prefix="foliolab-docs-"))
        return self._folders[page]

    def begin(self, texts: Mapping[str, str]) -> None:
        """Begin the commands of pages in the background, pages with the most blocks first.

        Args:
            texts: Markdown by the page's name.
        """
        self._pool = self._pool or ThreadPoolExecutor(os.cpu_count())
        found = {page: list(BLOCK.finditer(text)) for page, text in texts.items()}
        for page in sorted((page for page in found if found[page]), key=lambda page: -len(found[page])):
            self._pages[page] = self._pool.submit(run_page, found[page], self.folder(page))

    def outcomes(self, page: str, commands: tuple[str, ...]) -> list[Ended]:
        """How the commands of a page's next block ended."""
        blocks = self._pages[page].result() if page in self._pages else []
        if blocks and tuple(ended.command for ended in blocks[0]) == commands:
            return blocks.pop(0)
        return [run(command, self.folder(page)) for command in commands]

    def forget(self) -> None:
        """Wait for the commands that run, drop the others, and remove the folders of all pages."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._pages.clear()
        while self._folders:
            shutil.rmtree(self._folders.popitem()[1], ignore_errors=True)


RUNS: Final = Runs()


def shown(text: str, folder: Path, first: str = "", last: str = "") -> str:
    """An output as a page shows it: a part of it, without this host's paths.

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
        """The commands, then the output of the last one."""
        commands = lines_of("\n".join(self.content))
        made: list[nodes.Node] = [_block("\n".join(commands), "sh", "foliolab-command")]
        if "kernel" in self.options and not asks_the_kernel():
            return [*made, nodes.paragraph(NOT_RUN, NOT_RUN, classes=["foliolab-not-run"])]
        return [*made, *(_block(output, "text", "foliolab-output") for output in self._outputs(commands))]

    def _outputs(self, commands: tuple[str, ...]) -> Iterator[str]:
        self.env.note_dependency(str(policypages.FOLDER / policypages.STAMP))
        page = self.env.docname
        *before, last = RUNS.outcomes(page, commands)
        for ended in before:
            self._expect(ended, 0)
        if self._expect(last, self.options.get("exit", 0)) and last.done:
            patterns = self.options.get("from", ""), self.options.get("to", "")
            try:
                yield shown(last.done.stdout, RUNS.folder(page), *patterns)
            except ValueError as fault:
                self._warn(f"{last.command}: {fault}")

    def _expect(self, ended: Ended, code: int) -> bool:
        """Warn about a command that ended otherwise; whether it ended at all."""
        if ended.done is None:
            self._warn(f"{ended.command}: {ended.fault}")
            return False
        if ended.done.returncode != code:
            printed = ended.done.stderr or ended.done.stdout
            self._warn(f"{ended.command}: exit code {ended.done.returncode}, not {code}: {printed}")
        return True

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
        file = RUNS.folder(self.env.docname) / name
        if not file.exists():  # of a block that was not found in the page's text
            file.write_text(text, "utf-8")
        block = _block(text.rstrip(), "python" if name.endswith(".py") else "scenario", "foliolab-file")
        caption = nodes.caption(name, name)
        return [nodes.container("", caption, block, classes=["literal-block-wrapper"], literal_block=True)]


class Page(SphinxDirective):
    """An HTML page that a command of this page has written, shown in a frame; it is kept beside the documentation."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The frame, and a link to the page itself."""
        page, name = self.env.docname, self.arguments[0]
        file = RUNS.folder(page) / name
        if not file.is_file():
            file = Path(self.env.doc2path(page)).with_name(name)  # of a generated page, made with it
        if not file.is_file():
            self.state.document.reporter.warning(f"no command has written {name}", line=self.lineno)
            return []
        kept = Path(self.env.app.outdir) / PAGES / f"{page.replace('/', '-')}-{name}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, kept)
        address = f"{'../' * page.count('/')}{PAGES}/{kept.name}"
        frame = (
            f'<iframe class="foliolab-page" src="{address}" title="{name}" loading="lazy"></iframe>'
            f'<p><a href="{address}">{name} by itself</a></p>'
        )
        return [nodes.raw("", frame, format="html")]


def _block(text: str, language: str, name: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language, classes=[name])
