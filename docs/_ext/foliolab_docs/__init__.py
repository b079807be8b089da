"""FolioLab's Sphinx extension: pages and figures that are made when the documentation is built, from the code."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from docutils import nodes
from pygments.lexers.python import PythonLexer
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from foliolab_docs import (
    commands,
    countspage,
    findingpages,
    kernelpage,
    mutantspage,
    policypages,
    predictedpage,
    reference,
    schema,
    storeys,
)
from foliolab_docs.lexer import ScenarioLexer

__all__ = ["setup"]


@cache
def _sources() -> policypages.Sources:
    return policypages.Sources()


def _policies() -> list[str]:
    return policypages.overview(_sources())


def _kernels() -> Iterable[str]:
    return kernelpage.part(_sources().registry)


def _predicted() -> Iterable[str]:
    return predictedpage.part(_sources().registry)


def _findings() -> Iterable[str]:
    return findingpages.listed(_sources().registry, _sources().ledger)


def _verdicts() -> list[str]:
    return policypages.verdicts(_sources())


class Generated(SphinxDirective):
    """A part that is made from the policies, the API, the rooms, or the structs of a result."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The part, parsed as Markdown."""
        name = self.arguments[0]
        self.env.note_dependency(str(policypages.FOLDER / policypages.STAMP))
        parts: dict[str, Callable[[], Iterable[str]]] = {
            "counts": countspage.part, "findings": _findings, "kernels": _kernels, "mutants": mutantspage.part,
            "policies": _policies, "predicted": _predicted, "verdicts": _verdicts, "storeys": storeys.part,
        }  # fmt: skip
        lines = schema.part(name) if ":" in name else parts[name]() if name in parts else reference.part(name)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _alone() -> None:
    """Keep plugins and kept verdicts of this host out of the documentation."""
    folder = tempfile.mkdtemp(prefix="foliolab-docs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["FOLIOLAB_PLUGINS"] = "off"
    os.environ["FOLIOLAB_DATA"] = f"{folder}/data"
    os.environ["FOLIOLAB_CONFIG"] = f"{folder}/config"


def _write_pages(app: Sphinx) -> None:
    with ProcessPoolExecutor(mp_context=get_context("forkserver")) as pool:
        policypages.write(_sources(), pool=pool)


def _begin_commands(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    texts = {page: Path(env.doc2path(page)) for page in pages}
    commands.RUNS.begin({page: file.read_text("utf-8") for page, file in texts.items()})


def _finished(app: Sphinx, fault: Exception | None) -> None:
    commands.RUNS.forget()


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register everything with Sphinx."""
    _alone()
    app.add_directive("foliolab", commands.Commands)
    app.add_directive("foliolab-file", commands.File)
    app.add_directive("foliolab-page", commands.Page)
    app.add_directive("foliolab-generated", Generated)
    app.add_lexer("scenario", ScenarioLexer)
    app.add_lexer("add", PythonLexer)  # the pieces of CONTRIBUTING's recipe, whose fences say where each goes
    app.add_lexer("ebnf", TextLexer)  # the scenarios' grammar has sentences in it, which the lexer of that name refuses
    app.connect("builder-inited", _write_pages)
    app.connect("env-before-read-docs", _begin_commands)
    app.connect("build-finished", _finished)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
