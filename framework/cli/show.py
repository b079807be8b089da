"""Show a policy's fields in struct page, and what stays free.

Of a caller it shows which operations change, and its text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.caller import Caller
    from foliolab.framework.contract.policy import Layout, Policy, Scheme
    from foliolab.framework.plugins.registry import Registry

LARGEST = 12
"""The largest order that atomics are counted for: the interpreter takes some microseconds for each page."""


def run(
    policy: Annotated[
        str,
        typer.Argument(
            metavar="POLICY|CALLER", help="As NAME, NAME:parameter=value,…, FILE.py::NAME, FILE.c or tree:PATH."
        ),
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
    if policy in found.callers:
        _caller(found.caller(policy), text, json)
        return
    scheme = found.policy(policy, typed=True)
    _common.warn(found)
    if text:
        _common.put(_text(scheme.policy, scheme.name))
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


def _caller(caller: Caller, text: bool, json: bool) -> None:
    """Say what a caller changes, or print its text."""
    from foliolab.framework.report import callers as report
    from foliolab.framework.report.pages.plain_text import Plain

    if text:
        _common.put(_text(caller, caller.name))
    elif json:
        _common.print_json(report.data(caller))
    else:
        report.render(caller, Plain())


def _text(declared: Policy | Caller, name: str) -> str:
    """The text of a policy or a caller.

    Raises:
        UsageError: it cannot be read.
    """
    from foliolab.framework.csource.textmodule import translation_of
    from foliolab.framework.plugins.declaration import module_of

    module = module_of(declared)
    try:
        return translation_of(module) or Path(getattr(module, "__file__", None) or "").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(f"the text of {name} cannot be read: {fault}", "name another one") from fault


def _peers(found: Registry) -> dict[Layout, Scheme]:
    """The first policy of each layout."""
    peers: dict[Layout, Scheme] = {}
    for policy in found.policies.values():
        if policy.layout not in peers:
            peers[policy.layout] = policy.with_parameters()
    return peers
