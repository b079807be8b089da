"""Configurations: what patch series call the kernels in their tables, such as Base and No-Mapcount, as data.

A file of published figures (`published`) says which policy models each, and how such a kernel is had:

    [[configuration]]
    names = ["No-Mapcount", "No-MC"]   # as the series write it; the first is shown
    policy = "no-page-mapcount"        # the policy that models such kernels
    get = "foliolab kernel build …"    # the command that fetches or builds one
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foliolab.framework import intake
from foliolab.framework.errors import PluginError


@dataclass(frozen=True)
class Configuration:
    """A kernel configuration by the names that a patch series gives it.

    Args:
        names: as the series write it; the first is shown.
        policy: the policy that models such kernels, as a user writes it.
        get: the command that fetches or builds such a kernel.
    """

    names: tuple[str, ...]
    policy: str
    get: str

    @property
    def name(self) -> str:
        return self.names[0]

    def called(self, name: str) -> bool:
        """Whether a user means it by a name; upper and lower case do not matter."""
        return name.lower() in (*map(str.lower, self.names), self.policy)


def read(entries: Any, where: str) -> list[Configuration]:
    """The configurations of a document's `configuration` entries; `where` names the file in messages.

    Raises:
        PluginError: an entry has other keys, or one of them is not a text of the kind above.
    """
    if not isinstance(entries, list):
        raise PluginError(f"{where}: configuration is not a list", "write [[configuration]], with two brackets")
    return [_read(entry, f"{where}, configuration {number}") for number, entry in enumerate(entries, 1)]


def _read(entry: Any, where: str) -> Configuration:
    keys = set(Configuration.__dataclass_fields__)
    if not isinstance(entry, dict) or entry.keys() != keys:
        found = intake.plain(", ".join(sorted(entry)) if isinstance(entry, dict) else str(entry))
        raise PluginError(f"{where} has the keys {found}", f"give {', '.join(sorted(keys))}")
    names = entry["names"]
    if not isinstance(names, list) or not names or not all(map(_is_name, [*names, entry["policy"]])):
        raise PluginError(f"{where}: names is not a list of names, or policy is none", "correct it")
    if not isinstance(entry["get"], str) or not entry["get"].startswith("foliolab kernel "):
        raise PluginError(f"{where}: get is no command", "write it as `foliolab kernel get 6.12`")
    return Configuration(tuple(names), entry["policy"], entry["get"])


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value) and not {*value} & {*" ,"}
