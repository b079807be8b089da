"""Show a policy's fields in struct page, and what stays free."""

from __future__ import annotations

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
        typer.Argument(metavar="POLICY", help="As NAME, NAME:parameter=value,parameter=value or FILE.py::NAME."),
    ],
    order: Annotated[
        int, typer.Option("--order", metavar="N", help="Draw and count for folios of order N (4 is 64K).")
    ] = 4,
    plugin: _common.Plugins = None,
    json: _common.Json = False,
) -> None:
    """Draw a policy's fields as bytes and bits of struct pages."""
    found = _common.registry(plugin)
    scheme = found.policy(policy, typed=True)
    _common.warn(found)
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
        _common.print_json(report.data(parts, operations, verdicts))
    else:
        report.render(parts, operations, Plain(), verdicts)


def _peers(found: Registry) -> dict[Layout, Scheme]:
    """The first policy of each layout."""
    peers: dict[Layout, Scheme] = {}
    for policy in found.policies.values():
        if policy.layout not in peers:
            peers[policy.layout] = policy.with_parameters()
    return peers
