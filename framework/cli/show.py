"""Show a policy's fields in struct page, and what stays free."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Layout, Scheme
    from foliolab.framework.plugins.registry import Registry

LARGEST = 12
"""The largest order that atomics are counted for: the interpreter takes some microseconds for each page."""


def run(
    policy: Annotated[
        str,
        typer.Argument(metavar="POLICY", help="As NAME, NAME:parameter=value,…, FILE.py::NAME, FILE.c or tree:PATH."),
    ],
    order: Annotated[
        int, typer.Option("--order", metavar="N", help="Draw and count for folios of order N (4 is 64K).")
    ] = 4,
    text: Annotated[
        bool, typer.Option("--text", help="Print the text that runs instead: of a policy in C, its translation.")
    ] = False,
    plugin: _common.Plugins = None,
    json: _common.Json = False,
) -> None:
    """Draw a policy's fields as bytes and bits of struct pages."""
    found = _common.registry(plugin)
    scheme = found.policy(policy, typed=True)
    _common.warn(found)
    if text:
        _common.put(_text(scheme))
        return
    largest = min(scheme.policy.max_order, LARGEST)
    if not 1 <= order <= largest:
        raise UsageError(f"order {order} cannot be shown", f"choose 1 to {largest}; order 0 is a small folio")
    from foliolab.framework.anatomy import atomics, layout
    from foliolab.framework.report import anatomy as report
    from foliolab.framework.report.pages.plain_text import Plain

    parts = layout.anatomy(scheme, order, _peers(found))
    operations = atomics.operations(scheme, order)
    verdicts = _common.ledger(found).verdicts(scheme)
    if json:
        _common.print_json(report.data(parts, operations, verdicts, _common.witnesses(found).about(scheme)))
    else:
        report.render(parts, operations, Plain(), verdicts, _common.witnesses(found).sentences(scheme))


def _text(scheme: Scheme) -> str:
    """The text of a policy.

    Raises:
        UsageError: it cannot be read.
    """
    from foliolab.framework.csource.textmodule import translation_of
    from foliolab.framework.plugins.declaration import module_of

    module = module_of(scheme.policy)
    try:
        return translation_of(module) or Path(getattr(module, "__file__", None) or "").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(f"the text of {scheme.name} cannot be read: {fault}", "name another policy") from fault


def _peers(found: Registry) -> dict[Layout, Scheme]:
    """The first policy of each layout."""
    peers: dict[Layout, Scheme] = {}
    for policy in found.policies.values():
        if policy.layout not in peers:
            peers[policy.layout] = policy.with_parameters()
    return peers
