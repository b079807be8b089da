"""The command line: `foliolab VERB`, one module of this package for each verb.

A module with a function `run` is a verb. The module's docstring is the verb's help. The verb's name is the module's, or
its NAME. A package in this package is a group of verbs, such as `foliolab kernel bench`. Other packages add verbs by
entry points of the group `foliolab.verbs`, which name such modules; `foliolab gui` is one of them. Nothing slow is
imported before a verb runs.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Container
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Annotated, Final

import click
import typer

from foliolab.framework.cli._common import INTERRUPTED
from foliolab.framework.cli._help import Verbs
from foliolab.framework.errors import ExitCode, FolioLabError, StoppedEarly, UsageError
from foliolab.framework.escaping import visible
from foliolab.framework.isolation import signals
from foliolab.framework.isolation.blame import location_in_plugin

__all__ = ["application", "main"]

UNEXPECTED: Final = 1
VERBS: Final = "foliolab.verbs"
"""The group of entry points of other packages' verbs."""
RENAMED: Final = {"replay-trace": "foliolab replay FILE"}
"""Verbs of earlier versions, and what to type instead."""


def application() -> typer.Typer:
    """The program with all its verbs."""
    app = typer.Typer(
        name="foliolab",
        cls=Verbs,
        help="A workbench for schemes that track who owns a large folio.",
        epilog="Exit codes: 0 good, 1 a comparison failed or lacks something, 2 usage, 3 nothing measured, 4 a plugin "
        "failed, 130 interrupted.",
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,  # rich would add 0.1 s to each start
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global)
    _add_verbs(app, sys.modules[__name__])
    built_in = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    wanted = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if wanted in RENAMED:
        raise UsageError(f"{wanted} is now: {RENAMED[wanted]}")
    if wanted not in built_in:  # reading entry points takes as long as the rest of a start
        _add_from_entry_points(app, built_in)
    return app


def _add_from_entry_points(app: typer.Typer, taken: Container[object]) -> None:
    """Add the verbs of other packages. A verb that fails to import, or whose name is taken, becomes a message."""
    from importlib.metadata import entry_points

    for found in entry_points(group=VERBS):
        try:
            module = found.load()
            if found.name in taken:
                raise ValueError("FolioLab has a verb of that name")
            app.command(found.name, help=module.__doc__, no_args_is_help=False)(module.run)
        except (Exception, SystemExit) as fault:  # another package's code can raise anything
            from foliolab.framework.plugins.discovery import text_of

            _say(
                f"foliolab: the verb {found.name} of {found.value} is left out: {text_of(fault)}", "remove or repair it"
            )


def _add_verbs(app: typer.Typer, package: ModuleType) -> None:
    """Add a package's modules as verbs, and the packages in it as groups of verbs."""
    for found in iter_modules(package.__path__):
        if found.name.startswith("_"):
            continue
        module = import_module(f"{package.__name__}.{found.name}")
        name = getattr(module, "NAME", found.name)
        if found.ispkg:
            group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
            _add_verbs(group, module)
            app.add_typer(group, name=name, help=module.__doc__)
        elif hasattr(module, "run"):
            app.command(name, help=module.__doc__, no_args_is_help=False)(module.run)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(f"foliolab {metadata.version('foliolab')}")
        raise typer.Exit


def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the program with sys.argv. Returns after success; else raises SystemExit with the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # names and messages may have characters that the terminal's encoding lacks
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    # The objects of a start stay alive, and looking for garbage among them takes 8 % of it. `_common.registry` enables
    # garbage collection again.
    gc.disable()
    try:
        with signals.stops_kept():
            code = _run()
            if code == INTERRUPTED and signals.received():
                code = 128 + signals.received()
    finally:
        gc.enable()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    except OSError as fault:  # a full disk; Python's own flush at exit would say it with a traceback, or as code 120
        _forget_stdout()
        if not code:
            _say(f"foliolab: the output cannot be written: {fault.strerror}", "make room, or write somewhere else")
            code = UNEXPECTED
    if code:
        sys.exit(code)


def _run() -> int:
    code: object = 0
    try:
        code = application()(prog_name="foliolab", standalone_mode=False)  # the code of a verb that raised typer.Exit
    except click.ClickException as fault:  # a word of the command is wrong, and the message quotes it
        vars(fault)["message"] = visible(fault.message)  # some releases of click declare it final
        fault.show()
        code = fault.exit_code
    except SystemExit as leaving:
        return _code(leaving)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
    except FolioLabError as fault:
        _say(f"foliolab: {fault.what}", fault.hint)
        _trace(fault)
        return INTERRUPTED if isinstance(fault, StoppedEarly) else int(fault.exit_code)
    except Exception as fault:
        return _unexpected(fault)
    return code if isinstance(code, int) else 0


def _unexpected(fault: Exception) -> int:
    """Tell what no verb has foreseen in one line: a file of the host, or a defect; the exit code."""
    if isinstance(fault, OSError) and isinstance(fault.filename, (str, bytes)):
        _say(f"foliolab: {os.fsdecode(fault.filename)}: {fault.strerror}", "check its path and permissions")
        _trace(fault)
        return int(ExitCode.USAGE)
    if isinstance(fault, MemoryError):
        _say("foliolab: there is not enough memory", "free some, or ask for less")
        _trace(fault)
        return UNEXPECTED
    what = f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
    if plugin := location_in_plugin(fault):
        _say(f"foliolab: {plugin}: {what}", "correct the plugin; FOLIOLAB_DEBUG=1 shows the traceback")
        _trace(fault)
        return int(ExitCode.PLUGIN_FAILED)
    frames = traceback.extract_tb(fault.__traceback__)
    location = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    _say(f"foliolab: unexpected {what}{location}", "FOLIOLAB_DEBUG=1 shows the traceback; please report it")
    _trace(fault)
    return UNEXPECTED


def _code(leaving: SystemExit) -> int:
    if isinstance(leaving.__context__, BrokenPipeError):
        _forget_stdout()  # the reader of the pipe has closed it, such as `head`
        return 0
    return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)


def _say(what: str, hint: str) -> None:
    with suppress(OSError):
        sys.stderr.write(visible(f"{what}\n  {hint}\n" if hint else f"{what}\n"))
        sys.stderr.flush()


def _trace(fault: BaseException) -> None:
    if os.environ.get("FOLIOLAB_DEBUG", "0") not in ("", "0"):
        sys.stderr.write(visible("".join(traceback.format_exception(fault))))


def _forget_stdout() -> None:
    """Send what is still in the buffer to /dev/null: flushing it at exit would raise BrokenPipeError again."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
