"""The list of verbs in `foliolab --help`, grouped by what the user wants."""

from __future__ import annotations

from typing import Final

import click
from typer.core import TyperGroup

GROUPS: Final = {
    "The five questions": ("verify", "precision", "compare", "consequences", "kernel"),
    "Look closer": ("review", "gui", "list", "show", "step", "run", "doctor"),
    "Real programs": ("record", "import", "replay", "partial"),
    "Write your own": ("new", "check", "reference"),
    "In CI and on clusters": ("diff", "report", "history", "sweep"),
}
"""The verbs of each group. Other verbs, from plugins, stand in a last group."""
FROM_PLUGINS: Final = "From plugins"


class Verbs(TyperGroup):
    """The group of all verbs."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        grouped = {name for names in GROUPS.values() for name in names}
        others = tuple(name for name in self.commands if name not in grouped)
        width = max(map(len, self.commands))
        for title, names in {**GROUPS, FROM_PLUGINS: others}.items():
            known = [(name, self.commands[name]) for name in names if name in self.commands]
            if known:
                with formatter.section(title):
                    formatter.write_dl(
                        [
                            (name.ljust(width), command.get_short_help_str(formatter.width - width))
                            for name, command in known
                        ]
                    )
