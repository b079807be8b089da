"""The statements of a function as policy text: trees without goto, and without assignments that nobody reads."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from foliolab.framework.csource.place import Place
from foliolab.framework.csource.value import refused

BREAK: Final = "break"
"""The label that the jump of a C `break` has; no label of C text can have it."""
PURE: Final = frozenset(
    {
        "PageAnonExclusive", "folio_test_anon", "nth_page", "as_page", "as_folio", "folio_nr_pages", "folio_page",
        "int", "load",
    }
)  # fmt: skip
"""The functions whose calls change nothing: what only they calculate may be left out."""


@dataclass(frozen=True)
class Do:
    """A statement of one line: an assignment, a call, `continue` or `break`."""

    text: str
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True)
class Return:
    """The end of the function; `text` is what it returns, or empty."""

    text: str
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True)
class Jump:
    """A jump forward: to a label, or out of a loop or switch (BREAK)."""

    label: str
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True)
class If:
    """A condition with its two sides."""

    test: str
    then: tuple[Statement, ...]
    other: tuple[Statement, ...]
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True)
class For:
    """A loop that counts `name` from 0 up to, and without, `count`."""

    name: str
    count: str
    body: tuple[Statement, ...]
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True)
class While:
    """A loop with a condition."""

    test: str
    body: tuple[Statement, ...]
    place: Place = field(default=Place(), compare=False)


Statement = Do | Return | Jump | If | For | While
Block = tuple[Statement, ...]
Line = tuple[int, str, Place]
"""The depth, the text and the C place of one line."""
LEAVES: Final = (Do("continue"), Do("break"))


def falls(block: Sequence[Statement]) -> bool:
    """Whether control may reach the end of statements."""
    for one in block:
        if isinstance(one, Return | Jump) or one in LEAVES:
            return False
        if isinstance(one, If) and not falls(one.then) and not falls(one.other):
            return False
    return True


def _jumps(block: Sequence[Statement], label: str) -> bool:
    for one in block:
        if isinstance(one, Jump) and one.label == label:
            return True
        if isinstance(one, If) and (_jumps(one.then, label) or _jumps(one.other, label)):
            return True
        if isinstance(one, For | While) and _jumps(one.body, label):
            return True
    return False


MOST_TWICE: Final = 12
"""Statements that may be written on both sides of a condition."""


def without_jumps(block: Block, label: str, fresh: Callable[[str], str]) -> Block:
    """Statements without the jumps to their end: what a jump skips goes to the sides that do not jump.

    Where it is long and both sides may go on to it, it stays behind them, under a variable that says whether one of
    them has jumped: so the text grows with its length, and not by twice for each condition.

    Args:
        fresh: makes a new variable's name.

    Raises:
        CSourceError: a jump leaves a loop.
    """
    for i, one in enumerate(block):
        if isinstance(one, Jump) and one.label == label:
            return block[:i]
        if isinstance(one, For | While) and _jumps(one.body, label):
            raise refused(one.place, f"a jump to {label} out of the loop", "leave the loop by break")
        if isinstance(one, If) and (_jumps(one.then, label) or _jumps(one.other, label)):
            rest = block[i + 1 :]
            if falls(one.then) and falls(one.other) and _length(rest) > MOST_TWICE:
                return (*block[:i], *_under_a_variable(one, rest, label, fresh))
            sides = ((*side, *(rest if falls(side) else ())) for side in (one.then, one.other))
            then, other = (without_jumps(side, label, fresh) for side in sides)
            return (*block[:i], replace(one, then=then, other=other))
    return block


def _under_a_variable(one: If, rest: Block, label: str, fresh: Callable[[str], str]) -> Block:
    jumped = fresh("jumped")
    then, other = (without_jumps(_noted(side, label, jumped), label, fresh) for side in (one.then, one.other))
    after = If(f"not {jumped}", without_jumps(rest, label, fresh), (), one.place)
    return (Do(f"{jumped} = False", one.place), replace(one, then=then, other=other), after)


def _noted(block: Block, label: str, jumped: str) -> Block:
    """Statements that set a variable before each jump to a label."""
    made: list[Statement] = []
    for one in block:
        if isinstance(one, Jump) and one.label == label:
            made.append(Do(f"{jumped} = True", one.place))
        if isinstance(one, If):
            then, other = (_noted(side, label, jumped) for side in (one.then, one.other))
            made.append(replace(one, then=then, other=other))
        else:
            made.append(one)
    return tuple(made)


def _length(block: Block) -> int:
    """How many statements there are, with those inside of others."""
    inner = 0
    for one in block:
        if isinstance(one, If):
            inner += _length(one.then) + _length(one.other)
        elif isinstance(one, For | While):
            inner += _length(one.body)
    return len(block) + inner


def loop_body(block: Block) -> Block:
    """The statements of a loop: C's break is Python's there."""
    made: list[Statement] = []
    for one in block:
        if isinstance(one, Jump) and one.label == BREAK:
            made.append(Do("break", one.place))
        elif isinstance(one, If):
            made.append(replace(one, then=loop_body(one.then), other=loop_body(one.other)))
        else:
            made.append(one)
    return tuple(made)


# -- what is read --------------------------------------------------------------------------------
@cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text.strip())


def names(text: str) -> frozenset[str]:
    """The names that a line reads."""
    found = [node for node in ast.walk(_tree(text)) if isinstance(node, ast.Name)]
    return frozenset(node.id for node in found if isinstance(node.ctx, ast.Load))


def is_pure(text: str) -> bool:
    """Whether a line only calculates and loads."""
    called = [node.func for node in ast.walk(_tree(text)) if isinstance(node, ast.Call)]
    return all(isinstance(one, ast.Name) and one.id in PURE for one in called)


def counts(text: str) -> bool:
    """Whether an expression has the same value in each turn of a loop that changes none of its variables."""
    called = [node.func for node in ast.walk(_tree(text)) if isinstance(node, ast.Call)]
    return all(
        isinstance(one, ast.Name) and one.id in ("folio_nr_pages", "folio_order", "int", "min", "max") for one in called
    )


def _assigned(text: str) -> frozenset[str]:
    """The local variables that a line assigns."""
    found = [node for node in ast.walk(_tree(text)) if isinstance(node, ast.Name)]
    return frozenset(node.id for node in found if isinstance(node.ctx, ast.Store))


def used(block: Block, after: Set[str] = frozenset()) -> tuple[Block, frozenset[str]]:
    """Statements without the assignments that nobody reads, and the names that they read before they assign them.

    Args:
        after: the names that are read after the statements.
    """
    made: list[Statement] = []
    alive = frozenset(after)
    for one in reversed(block):
        kept, alive = _used(one, alive)
        if kept is not None:
            made.append(kept)
    return tuple(reversed(made)), alive


def _used(one: Statement, alive: frozenset[str]) -> tuple[Statement | None, frozenset[str]]:
    if isinstance(one, Return):
        return one, names(one.text) if one.text else frozenset()
    if isinstance(one, Do):
        targets = _assigned(one.text) if one not in LEAVES else frozenset()
        if targets and not targets & alive and is_pure(one.text):
            return None, alive
        return one, alive - targets | (names(one.text) if one not in LEAVES else frozenset())
    if isinstance(one, If):
        then, before_then = used(one.then, alive)
        other, before_other = used(one.other, alive)
        if not then and not other and is_pure(one.test):
            return None, alive
        return replace(one, then=then, other=other), before_then | before_other | names(one.test)
    if isinstance(one, For | While):
        return _used_loop(one, alive)
    raise refused(one.place, f"a jump to {one.label} that is not forward", "write a loop")


def _used_loop(one: For | While, alive: frozenset[str]) -> tuple[Statement, frozenset[str]]:
    """A loop: what its body reads first is read again after the body."""
    if isinstance(one, For) and one.name in alive:
        raise refused(one.place, f"{one.name} is used after its loop", "copy it in the loop")
    head = names(one.count if isinstance(one, For) else one.test)
    own = frozenset([one.name]) if isinstance(one, For) else frozenset()
    again: frozenset[str] = frozenset()
    while True:
        body, before = used(one.body, alive | head | again)
        if before - own <= again:
            return replace(one, body=body), alive | head | again
        again |= before - own


def assigned(block: Block) -> Iterator[str]:
    """The local variables that statements assign."""
    for one in block:
        if isinstance(one, Do) and one not in LEAVES:
            yield from _assigned(one.text)
        elif isinstance(one, If):
            yield from (*assigned(one.then), *assigned(one.other))
        elif isinstance(one, For | While):
            yield from assigned(one.body)


def overwritten(block: Block, name: str) -> Place | None:
    """Where statements assign a variable that they may have assigned before; None if nowhere."""
    return _overwritten(block, name, False)[0]


def _overwritten(block: Block, name: str, before: bool) -> tuple[Place | None, bool]:
    for one in block:
        if isinstance(one, Do) and one not in LEAVES and name in _assigned(one.text):
            if before:
                return one.place, True
            before = True
        elif isinstance(one, If):
            (then, a), (other, b) = (_overwritten(side, name, before) for side in (one.then, one.other))
            if then or other:
                return then or other, True
            before = (a and falls(one.then)) or (b and falls(one.other)) or before
        elif isinstance(one, For | While) and name in set(assigned(one.body)):
            return one.place, True
    return None, before


def continues(block: Block) -> bool:
    """Whether statements of a loop have a `continue` of that loop."""
    return any(
        (isinstance(one, Do) and one.text == "continue")
        or (isinstance(one, If) and (continues(one.then) or continues(one.other)))
        for one in block
    )


# -- lines -----------------------------------------------------------------------------------------
def tidy(text: str) -> str:
    """An expression or line without needless parentheses."""
    return ast.unparse(_tree(text))


def lines(block: Block, depth: int) -> list[Line]:
    """The lines of statements; `pass` where there is none."""
    return _lines(block, depth) or [(depth, "pass", Place())]


def _lines(block: Block, depth: int) -> list[Line]:
    found: list[Line] = []
    for one in block:
        if isinstance(one, Do):
            found.append((depth, one.text if one in LEAVES else tidy(one.text), one.place))
        elif isinstance(one, Return):
            found.append((depth, f"return {tidy(one.text)}" if one.text else "return", one.place))
        elif isinstance(one, If):
            found += _if_lines(one, depth)
        elif isinstance(one, For):
            found += [(depth, f"for {one.name} in range({tidy(one.count)}):", one.place), *lines(one.body, depth + 1)]
        elif isinstance(one, While):
            found += [(depth, f"while {tidy(one.test)}:", one.place), *lines(one.body, depth + 1)]
        else:
            raise refused(one.place, f"a jump to {one.label} that is not forward", "write a loop")
    return found


def _if_lines(one: If, depth: int) -> list[Line]:
    then, other = _lines(one.then, depth + 1), _lines(one.other, depth + 1)
    if not then and not other:
        return [(depth, tidy(one.test), one.place)]  # a condition that does something
    if not then:
        return [(depth, f"if {tidy(f'not ({one.test})')}:", one.place), *other]
    found = [(depth, f"if {tidy(one.test)}:", one.place), *then]
    if len(one.other) == 1 and isinstance(one.other[0], If) and other and other[0][1].startswith("if "):
        (_, head, place), *rest = ((level - 1, text, place) for level, text, place in other)
        return [*found, (depth, f"el{head}", place), *rest]
    return [*found, (depth, "else:", one.other[0].place), *other] if other else found
