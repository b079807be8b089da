"""All parts of the reference, and how to find an entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from foliolab.framework.errors import UsageError
from foliolab.framework.plugins.selection import nearest
from foliolab.framework.reference import api, commands, files, hooks
from foliolab.framework.reference.table import Part, entry_names
from foliolab.framework.results.result import Result

PARTS: Final = {
    "policy-hooks": Part(
        "Hooks of a policy", hooks.policy_hooks,
        "Every hook gets a large folio, pages of it, and the MM whose page table changes; `nr` is a number of "
        "consecutive pages.",
    ),
    "absent-hooks": Part("Hooks that a policy leaves out", hooks.absent_hooks),
    "engine-counts": Part("What the engine counts itself", hooks.engine_counts),
    "free-bytes": Part("Where a field may lie", hooks.free_bytes, "Bytes of struct page, ends included."),
    "capabilities": Part("What a policy can claim", hooks.capabilities),
    "laws": Part("Laws", hooks.laws, "What the verifier checks in every state."),
    "primitives": Part("Primitives", api.primitive_tables),
    "helpers": Part("Functions of the engine", api.helpers),
    "constants": Part("Constants", api.constants),
    "classes": Part("Declarations", api.classes),
    "plugin-hooks": Part("Hooks of a plugin", hooks.plugin_hooks),
    "records": Part(
        "Records of a trace reader", files.records,
        "A reader yields them in the order of time. `time` is nanoseconds of one monotonic clock; `tid` is a thread of "
        "the process `pid`, on the processor `cpu`.",
    ),
    "events": Part("Events of a trace", files.event_kinds, "`foliolab import` makes them from records."),
    "counterexample": Part(
        "The file of a counterexample", files.counterexample,
        "`foliolab verify` writes it, `foliolab step` walks it. One can be written by hand.",
    ),
    "operations": Part("Operations of a counterexample", files.operations, "N is an integer; [ ] may be left out."),
    "result": Part("The result file", lambda: files.keys(Result), "What `foliolab compare --json FILE` writes."),
    "metrics": Part("Counted metrics", commands.metrics),
    "pytest": Part("pytest", commands.pytest_options, "Installing FolioLab installs a plugin of pytest."),
    "exit-codes": Part("Exit codes and errors", commands.exit_codes),
}  # fmt: skip
"""The parts by the names that pages and `foliolab reference` use."""


def everything() -> Iterator[str]:
    """The whole reference as lines of plain text."""
    for part in PARTS.values():
        yield from part.text()


def find(name: str) -> Iterator[str]:
    """A part, or all entries of that name, as lines of plain text.

    Raises:
        UsageError: there is nothing of that name; the hint has the nearest names.
    """
    if name in PARTS:
        yield from PARTS[name].text()
        return
    names = set(PARTS)
    found = False
    for part in PARTS.values():
        for table in part.made():
            names |= {table.title, *(one for row in table.rows for one in entry_names(row))} - {""}
            if rows := list(table.named(name)) or name == table.title:
                found = True
                yield part.title if rows is True or not table.title else f"{part.title}: {table.title}"
                yield from (f"  {line}".rstrip() for line in table.text(None if rows is True else rows))
    if not found:
        parts = ", ".join(PARTS)
        raise UsageError(
            f"the reference has no entry {name!r}", nearest(name, sorted(names), f"parts are {parts}; entries")
        )
