"""What the matrix says, in a few sentences made from its answers: who is unsafe, and who costs what where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from foliolab.framework.report.words import change_text, share_text, size_text
from foliolab.gui.compare.answer import FALSE_SHARED, UNSAFE, Answer

Answers = Mapping[str, Answer]
"""The answers about one policy, by question."""
LISTED: Final = 3
"""Policies that a sentence names before it only counts them."""


def unsafe(answers: Answers) -> str:
    """Why a policy is unsafe, in a few words; empty if nothing says that it is."""
    precise, right = answers.get("precise"), answers.get("right")
    if precise is not None and precise.values.get(UNSAFE, 0.0):
        return f"calls shared folios exclusive {share_text(precise.values[UNSAFE], 1)} of the time"
    if right is not None and right.values.get(UNSAFE, 0.0):
        return "its claim to be safe is refuted"
    return ""


def sentences(answers: Mapping[str, Answers], shown: Sequence[str], baseline: str) -> list[str]:
    """The sentences, the most important first.

    Args:
        answers: of all policies.
        shown: the policies that are compared in words, in their order.
        baseline: the policy that costs are compared with.
    """
    found = [_unsafe(answers)]
    found += [_cost(policy, answers.get(policy, {}), baseline) for policy in shown if policy != baseline]
    return [sentence for sentence in found if sentence]


def _unsafe(answers: Mapping[str, Answers]) -> str:
    measured = [policy for policy, about in answers.items() if "exclusive" in unsafe(about)]
    refuted = [policy for policy, about in answers.items() if unsafe(about) and policy not in measured]
    parts = []
    if measured:
        parts.append(f"{_listed(measured)} call{'s' * (len(measured) == 1)} shared folios exclusive")
    if refuted:
        parts.append(f"{_listed(refuted)}: refuted by the verifier")
    if parts:
        return f"Unsafe: {'; '.join(parts)}."
    known = [about for about in answers.values() if "precise" in about and about["precise"].known]
    return f"None of the {len(known)} measured policies was found unsafe." if known else ""


def _cost(policy: str, about: Answers, baseline: str) -> str:
    """What a policy costs, and how imprecise it is."""
    parts = []
    cost, precise = about.get("cost"), about.get("precise")
    if cost is not None and cost.values:
        parts.append(", ".join(_where(cost, name) for name in cost.values if isinstance(name, str)))
    if precise is not None and FALSE_SHARED in precise.values:
        share = precise.values[FALSE_SHARED]
        parts.append(f"{share_text(share, 1)} false shared" if share else "never false shared")
    return f"{policy} against {baseline}: {'; '.join(parts)}." if parts else ""


def _where(cost: Answer, workload: str) -> str:
    """The change of one workload's time: one figure if it is much the same at all sizes, else those of both ends."""
    by_size = sorted((key[1], ratio) for key, ratio in cost.values.items() if not isinstance(key, str)
                     and key[0] == workload)  # fmt: skip
    ratios = [ratio for _, ratio in by_size]
    if not ratios or max(ratios) - min(ratios) < 0.03:
        return f"{workload} {change_text(cost.values[workload])} %"
    (first, at_first), (last, at_last) = by_size[0], by_size[-1]
    return (
        f"{workload} {change_text(at_first)} % at {size_text(first)} to {change_text(at_last)} % at {size_text(last)}"
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) > LISTED + 1:
        return f"{', '.join(names[:LISTED])} and {len(names) - LISTED} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
