"""The points of the scatter, made from the answers of the matrix."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from foliolab.gui.compare import headline
from foliolab.gui.compare.answer import FALSE_SHARED
from foliolab.gui.compare.scatter import Spot


def spots_of(known: Mapping[str, headline.Answers], baseline: str, workload: str, shown: Collection[str]) -> list[Spot]:
    """A point for each policy whose cost and precision are known.

    Args:
        known: the answers of each policy, by question.
        baseline: the policy with which costs are compared.
        workload: whose time is shown.
        shown: the policies that have a row.
    """
    found = []
    for policy, about in known.items():
        cost, precise = about.get("cost"), about.get("precise")
        if cost is None or precise is None or FALSE_SHARED not in precise.values:
            continue
        ratio = 1.0 if policy == baseline else cost.values.get(workload)
        if ratio is None:
            continue
        here = not (cost.reference or precise.reference)
        x, y = 100 * precise.values[FALSE_SHARED], 100 * (ratio - 1)
        found.append(Spot(policy, x, y, headline.unsafe(about), here, policy in shown))
    return found
