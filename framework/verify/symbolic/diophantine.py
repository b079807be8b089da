"""Enumerates the solutions of linear congruences modulo a power of two, for numbers within bounds.

A term such as "sum of count times sub-ID is a multiple of 2^64" is grouped by its factors into
sum a_i x_i = 0 mod M with bounded integers x_i. z3 does not solve such an equation in useful time. A search over one
x_i after the other has few branches: the greatest common divisor of all later factors fixes x_i modulo a number, and
the remainder must lie within the bounds of the later terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd

from foliolab.framework.verify.symbolic.term import Monomial, Term, as_sum, const, from_sum

NODES = 400_000


class TooMany(Exception):
    """The search has too many branches."""


def groups(equation: Term, modulus: int) -> tuple[list[int], list[Term]]:
    """(factors, numbers): the left side of an equation as a sum of factor times number, factors from 1 to modulus - 1.

    Products with the same factor, or with its negative, make one number. Of a factor and its negative, the one that
    shares the larger divisor with another factor is used.
    """
    constant, products = as_sum(equation)
    parts: dict[int, dict[Monomial, int]] = {}
    for monomial, factor in products.items():
        positive, negative = factor % modulus, -factor % modulus
        if positive:
            parts.setdefault(min(positive, negative), {})[monomial] = 1 if positive <= negative else -1
    factors, numbers = [], []
    for weight, part in parts.items():
        others = [other for other in parts if other != weight]
        shared = [max((gcd(factor, other) for other in others), default=1) for factor in (weight, modulus - weight)]
        swap = shared[1] > shared[0] and weight > modulus >> 8  # small factors are better than shared ones
        factors.append(modulus - weight if swap else weight)
        numbers.append(from_sum(0, {monomial: -sign if swap else sign for monomial, sign in part.items()}))
    if constant % modulus:
        factors.append(constant % modulus)
        numbers.append(const(1))
    return factors, numbers


def solutions(
    factors: list[int], boxes: list[tuple[int, int]], modulus: int, stopped: Callable[[], bool], nodes: int = NODES
) -> Iterator[tuple[int, ...]]:
    """All integers x_i within their bounds for which the sum of factor times x_i is a multiple of the modulus.

    Raises:
        TooMany: the search has more branches than `nodes`.
        InterruptedError: `stopped` returned true.
    """
    search = _Search(factors, boxes, stopped, nodes)
    for wraps in range(search.low[0] // modulus, search.high[0] // modulus + 1):
        yield from search.visit(0, -wraps * modulus)


class _Search:
    def __init__(
        self, factors: list[int], boxes: list[tuple[int, int]], stopped: Callable[[], bool], nodes: int
    ) -> None:
        self.order = sorted(range(len(factors)), key=lambda i: factors[i])
        self.factors = [factors[i] for i in self.order]
        self.boxes = [boxes[i] for i in self.order]
        self.stopped = stopped
        self.left = nodes
        n = len(factors)
        self.common, self.low, self.high = [0] * (n + 1), [0] * (n + 1), [0] * (n + 1)
        for i in range(n - 1, -1, -1):
            self.common[i] = gcd(self.factors[i], self.common[i + 1])
            self.low[i] = self.low[i + 1] + self.factors[i] * self.boxes[i][0]
            self.high[i] = self.high[i + 1] + self.factors[i] * self.boxes[i][1]
        self.chosen = [0] * n

    def visit(self, i: int, total: int) -> Iterator[tuple[int, ...]]:
        """The solutions of total + the sum of the terms from i on = 0, for the chosen x before i."""
        self.left -= 1
        if self.left < 0:
            raise TooMany
        if self.left % 1024 == 0 and self.stopped():
            raise InterruptedError
        if i == len(self.factors):
            if total == 0:
                found = [0] * i
                for original, value in zip(self.order, self.chosen, strict=True):
                    found[original] = value
                yield tuple(found)
            return
        factor, (low, high) = self.factors[i], self.boxes[i]
        low = max(low, -((total + self.high[i + 1]) // factor))
        high = min(high, (-total - self.low[i + 1]) // factor)
        step = self._step(i, total)
        if step is None:
            return
        every, first = step
        for value in range(low + (first - low) % every, high + 1, every):
            self.chosen[i] = value
            yield from self.visit(i + 1, total + factor * value)

    def _step(self, i: int, total: int) -> tuple[int, int] | None:
        """(step, first) of the values whose remainder the later factors can make; None if there are no such values."""
        factor, later = self.factors[i], self.common[i + 1]
        if later == 0:
            return (1 << 200, -total // factor) if total % factor == 0 else None
        shared = gcd(factor, later)
        if total % shared:
            return None
        every = later // shared
        return every, (-total // shared * pow(factor // shared, -1, every)) % every if every > 1 else 0
