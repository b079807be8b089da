"""What verbs share: the options for plugins, the registry that follows from them, JSON output."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.registry import Registry

Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="Load this Python file as a plugin, too; may be repeated."),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Stop with exit code 4 if any plugin fails, not only one that is used."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def registry(plugins: list[Path] | None, strict: bool = False) -> Registry:
    """Every plugin.

    Raises:
        UsageError: a plugin file does not exist.
        PluginError: one failed, and `strict`.
    """
    for path in plugins or ():
        if not path.exists():
            raise UsageError(f"there is no plugin file {path}", "name an existing Python file after --plugin")
    from foliolab.framework import registry as room
    from foliolab.framework.engine.structs import layouts_of

    try:
        return room.load(plugins or (), strict, check=layouts_of)
    finally:
        gc.enable()  # see `main`: the start is over


def warn(found: Registry) -> None:
    """Name the plugins that failed on stderr, in verbs that do not show them themselves."""
    for failure in found.failures:
        sys.stderr.write(f"foliolab: plugin {failure.name} failed and is left out: {failure.message}\n")


def print_json(data: Any) -> None:
    """Print values as JSON."""
    sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=not _utf8()) + "\n")


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
