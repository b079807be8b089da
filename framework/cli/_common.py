"""What verbs share: the options for plugins, the registry, messages and JSON output."""

from __future__ import annotations

import gc
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from foliolab.framework import intake
from foliolab.framework.csource.name import TREE
from foliolab.framework.errors import FolioLabError, PluginError, UsageError
from foliolab.framework.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.document import Document
    from foliolab.framework.kernel.witnesses import Witnesses
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.report.pages.page import Page
    from foliolab.framework.results.comparison import Row
    from foliolab.framework.results.result import Result
    from foliolab.framework.results.run_result import RunResult
    from foliolab.framework.results.saving import Saving
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.ledger import Ledger

POLICIES: Final = "Policies as NAME, NAME:parameter=value, FILE.py::NAME, FILE.c or tree:PATH"
LISTS: Final = "separated by commas; may be repeated"
INTERRUPTED: Final = 130
"""The exit code after Ctrl-C; `main` turns it into 143 after SIGTERM and 129 after SIGHUP, as shells do."""

Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE", help="Load this Python or C file, or tree:PATH, as a plugin; may be repeated."
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Stop with exit code 4 if any plugin fails, even an unused one."),
]
CallerName = Annotated[
    str | None,
    typer.Option("--caller", metavar="NAME", help="Let operations proceed as this caller says: NAME or FILE.py::NAME."),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[POLICY]...", help=f"{POLICIES}. [those of --plugin]"),
]
MOST_SEED: Final = intake.LARGEST
Seed = Annotated[int, typer.Option(min=0, max=MOST_SEED, metavar="N", help="Seed of random choices.")]
Examples = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR|FILE.json", help="Where to write counterexamples.")
]
History = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Keep the result there, by commit; see `foliolab history`.")
]
ResultFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result file.")]
Wish = Annotated[str, typer.Option("--execution", hidden=True, help="native or interpreted")]
Wait = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for another run that uses the THP settings.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def registry(plugins: list[Path] | None, strict: bool = False) -> Registry:
    """Load all plugins.

    Raises:
        UsageError: a plugin file does not exist.
        PluginError: a plugin failed, and `strict`.
    """
    for path in plugins or ():
        if not os.path.exists(path) and not str(path).startswith(TREE):
            raise UsageError(f"there is no plugin file {path}", "name an existing Python file after --plugin")
    from foliolab.framework.plugins import registry as room

    try:
        return room.load(plugins or (), strict)
    finally:
        gc.enable()  # `main` disabled it for the start


def under(found: Registry, schemes: Sequence[Scheme], caller: str | None) -> list[Scheme]:
    """The policies, under a caller if one is named."""
    if caller is None:
        return list(schemes)
    calls = found.caller(caller)
    return [scheme.under(calls) for scheme in schemes]


def typed() -> str:
    """The command as the user typed it; bytes that are no text are written with backslashes."""
    return shlex.join(["foliolab", *sys.argv[1:]]).encode("utf-8", "backslashreplace").decode()


def say(text: str) -> None:
    """Write a message to stderr."""
    sys.stderr.write(f"foliolab: {visible(text)}\n")


def put(text: str) -> None:
    """Write a text to stdout; control characters are made visible."""
    sys.stdout.write(visible(text))


def keep(result: RunResult, folder: Path | None, plugins: list[Path] | None) -> None:
    """Keep a result in a history, and say where; a result that cannot be kept is shown all the same."""
    if folder is None:
        return
    from foliolab.framework.results import history

    try:
        say(f"kept: {history.keep(result, folder, plugins or ())}")
    except FolioLabError as fault:
        say(f"not kept: {fault.what}")


def tell(text: str) -> None:
    """Write a message to stderr, if there is one."""
    if text:
        say(text)


def save(result: Document, saving: Saving, complete: bool) -> None:
    """Write the result of a run at its end; `saving.check` raises a fault, after the result is printed."""
    tell(saving.final(result.save, complete))


def end_comparison(result: Result, rows: Sequence[Row], saving: Saving, table: Saving) -> None:
    """End a command whose comparison is printed: the exit code says what went wrong.

    Raises:
        FolioLabError: the result or the table could not be written, or the comparison failed.
        typer.Exit: the run was interrupted.
    """
    from foliolab.framework.results.comparison import failed

    saving.check()
    table.check()
    if not result.complete:
        raise typer.Exit(INTERRUPTED)
    if (fault := failed(rows, result)) is not None:
        raise fault


def warn(found: Registry) -> None:
    """Name the plugins that failed, on stderr. Verbs that list plugins show failures themselves."""
    for failure in found.failures:
        say(f"plugin {failure.name} failed and is left out: {failure.message}")


def schemes(found: Registry, written: list[str] | None, plugin: list[Path] | None) -> list[Scheme]:
    """The policies that the user named; without names, those of the plugin files.

    Raises:
        UsageError: there is no such policy; or no policy is named, and no file offers one.
        PluginError: no policy is named, and a plugin file failed.
    """
    if written:
        return found.parse_policies(written)
    files = {str(path.resolve()) for path in plugin or ()}
    offered = [
        name
        for one in found.plugins
        if one.kind == "file" and str(Path(one.source).resolve()) in files
        for name in one.offers["policies"]
    ]
    broken = next((one for one in found.failures if str(Path(one.source).resolve()) in files), None)
    if not offered and broken is not None:
        raise PluginError(
            f"plugin {broken.name} failed: {broken.message}", "correct it; `foliolab list` shows every plugin"
        )
    if not offered:
        raise UsageError("no policy is named", f"policies are {', '.join(found.policies)}; or name a --plugin file")
    return [found.policy(name) for name in offered]


def ledger(found: Registry) -> Ledger:
    """The kept verdicts; a file that cannot be read is named on stderr and left out."""
    from foliolab.framework.verify.ledger import Ledger

    made = Ledger.of(found)
    for problem in made.problems:
        say(problem)
    return made


def witnesses(found: Registry) -> Witnesses:
    """The kernels that policies were held against; a file that cannot be read is named on stderr and left out."""
    from foliolab.framework.kernel.witnesses import Witnesses

    made = Witnesses.of(found)
    for problem in made.problems:
        say(problem)
    return made


def say_refuted(found: Registry, schemes: Iterable[Scheme], page: Page) -> None:
    """Print the refuted claims of policies below a report about them."""
    for text in refuted(found, schemes):
        page.line(f"✗ {text}", "bad")


def refuted(found: Registry, schemes: Iterable[Scheme]) -> list[str]:
    """The refuted claims of policies, one sentence each."""
    known = ledger(found)
    return [f"{scheme.name}: {verdict.text}" for scheme in schemes for verdict in known.refuted(scheme)]


def write_counterexample(example: Counterexample, output: Path, first: bool) -> tuple[str, str]:
    """Write a counterexample: its file, and the command that steps through it. Both are empty if that failed."""
    from foliolab.framework.verify.counterexample import path_for

    path = path_for(example, output, first)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        example.save(path)
    except (OSError, FolioLabError) as fault:
        say(f"{path} cannot be written: {fault}")
        return "", ""
    return str(path), shlex.join(example.stepping(path))


def print_json(data: Any) -> None:
    """Print values as JSON."""
    text = json.dumps(data, indent=1, ensure_ascii=not _utf8())
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n")


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def writable(path: Path | None) -> None:
    """Refuse an output file that cannot be written, before anything is measured.

    Raises:
        UsageError: says why.
    """
    if path is None:
        return
    folder = path.parent
    if not os.path.isdir(folder):
        if folder.exists():
            raise UsageError(f"{path} cannot be written: {folder} is no folder", "choose another path")
        raise UsageError(f"{path} cannot be written: there is no folder {folder}", "create it first")
    if os.path.isdir(path):
        raise UsageError(f"{path} cannot be written: it is a folder", "name a file in it")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise UsageError(f"{path} cannot be written: permission denied", "choose another path")


def execution(wish: str) -> Literal["native", "interpreted"]:
    """The execution that the user wants; by default native, or interpreted with a message if numba is missing.

    Raises:
        UsageError: there is no such execution, or numba is missing.
    """
    from foliolab.framework.engine.engine import native_missing

    if wish not in ("", "native", "interpreted"):
        raise UsageError(f"there is no execution {wish!r}", "choose native or interpreted")
    missing = native_missing() if wish != "interpreted" else ""
    if missing and wish == "native":
        raise UsageError(missing, "install numba: pip install numba")
    if missing:
        say(missing)
    if missing or wish == "interpreted":
        return "interpreted"
    from foliolab.framework.machine import cache

    if why := cache.refusal():
        say(f"native code is not kept, and is compiled each time: {why}")
    return "native"
