"""The contract of callers: how an operation of the engine proceeds, in a text of one's own.

A caller is a `Caller` value that replaces functions of the engine's text by others. What calls a policy's hooks is
thereby a plugin, like the policy itself: a fork that copies page by page, an mremap that takes the bits of a batch's
first PTE for those of all. Every operation that reaches a replaced function is changed, in every execution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from foliolab.framework.contract.hooks import Hook
from foliolab.framework.errors import PluginError

EQUIVALENT: Final = "equivalent"
CALLER_CLAIMS: Final = {
    EQUIVALENT: "an operation by itself leaves memory as Linux's own text of it does",
}
"""What a caller can claim. What every policy owes, and what the policy claims, a caller owes in any case."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """How operations of the engine proceed.

    Args:
        name: unique; lower case with hyphens.
        summary: one line.
        replace: (function, other) pairs: `other` is called wherever the engine's text calls `function`, which is one of
            `foliolab.framework.operations`. `other` takes the same arguments, and may call `function`.
        claims: what it claims, out of CALLER_CLAIMS.
        references: mails, commits and sections that define it.
    """

    name: str
    summary: str
    replace: tuple[tuple[Hook, Hook], ...]
    claims: frozenset[str] = frozenset()
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := self.claims - CALLER_CLAIMS.keys():
            raise PluginError(
                f"caller {self.name} claims {', '.join(sorted(unknown))}", f"claims are {', '.join(CALLER_CLAIMS)}"
            )
        pairs: Any = self.replace  # a plugin may put any type here
        good = isinstance(pairs, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)
        if not good or not pairs:
            raise PluginError(f"caller {self.name} replaces no function", "write replace=((function, other),)")
        for function, other in pairs:
            counts = [getattr(getattr(one, "__code__", None), "co_argcount", -1) for one in (function, other)]
            if min(counts) < 0 or counts[0] != counts[1]:
                raise PluginError(
                    f"caller {self.name}: {getattr(other, '__name__', other)!r:.60} cannot stand for "
                    f"{getattr(function, '__name__', function)!r:.60}",
                    "write a function of the same number of arguments",
                )
