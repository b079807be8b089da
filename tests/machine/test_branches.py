"""The branches of a text are those that it has, and marks say which of them were taken."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.machine.branches import Branches
from foliolab.framework.machine.calltree import CallTree

TEXT = '''
"""A text with every kind of branch."""
LIMIT = 3
WIDE = False


def begin(a, b):
    """The docstring stays the docstring."""
    total = 0
    if a and b > 1:
        total = other(a)
    elif WIDE:
        total = -2 if a else -3
    while total > LIMIT:
        total -= 1
    for _ in range(b):
        total += 1
    return total if total < 9 or a == 5 else 9


def other(a):
    while True:
        if a > 7:
            return 7
        a += 4


def lonely(a):
    if a:
        return 1
    return 0
'''


class Marked:
    """A policy's text with marks at its branches, loaded as a module."""

    def __init__(self, folder: Path, text: str = TEXT, roots: tuple[str, ...] = ("begin", "lonely")) -> None:
        self.file = folder / "text.py"
        self.file.write_text(text)
        module = types.ModuleType("text")
        module.__file__ = str(self.file)
        exec(compile(text, str(self.file), "exec", dont_inherit=True), vars(module))
        for value in vars(module).values():
            if isinstance(value, types.FunctionType):
                value.__module__ = "text"
        functions = [vars(module)[name] for name in roots]
        tree = CallTree(functions, frozenset(), {}, {})
        self.branches = Branches(tree, lambda function: True)

        def mark(function: Any, twin: Any) -> Any:
            self.branches.mark(function, twin)
            return twin

        twins: dict[Any, Any] = dict(tree.copies(mark))
        self.of: dict[str, Callable[..., int]] = {one.__name__: twins[one] for one in functions}
        self.plain: dict[str, Callable[..., int]] = {one.__name__: one for one in functions}

    def line(self, text: str) -> int:
        return next(at for at, line in enumerate(self.file.read_text().splitlines(), 1) if text in line)

    def untaken(self) -> set[tuple[int, str]]:
        pairs = zip(self.branches.known, self.branches.taken, strict=True)
        return {(one.line, one.never) for one, taken in pairs if not taken}


def test_marks_say_what_was_taken_and_change_no_answer(tmp_path: Path) -> None:
    marked = Marked(tmp_path)
    assert len(marked.untaken()) == len(marked.branches.known) > 0
    assert marked.of["begin"](1, 2) == marked.plain["begin"](1, 2)
    lonely, condition = marked.line("def lonely"), marked.line("if a:")
    assert marked.untaken() == {
        (marked.line("if a and"), "the condition is never false"),
        (marked.line("return total if"), "what follows `or` is never reached"),
        (marked.line("return total if"), "the condition is never false"),
        (lonely, "never called"),
        (condition, "the condition is never true"),
        (condition, "the condition is never false"),
    }
    for a in range(9):
        for b in range(12):
            assert marked.of["begin"](a, b) == marked.plain["begin"](a, b)
        assert marked.of["lonely"](a) == marked.plain["lonely"](a)
    assert marked.untaken() == set()


def test_what_constants_decide_is_no_branch(tmp_path: Path) -> None:
    marked = Marked(tmp_path)
    lines = {one.line for one in marked.branches.known}
    assert marked.line("elif WIDE") not in lines
    assert marked.line("total = -2") not in lines, "a branch that can only be ruled out is counted"
    assert marked.line("while True") not in lines
    assert marked.line("while total > LIMIT") in lines


def test_what_lies_in_a_branch_is_known_to(tmp_path: Path) -> None:
    marked = Marked(tmp_path)
    known = marked.branches.known
    inside = {
        (one.line, known[marked.branches.within[at]].line)
        for at, one in enumerate(known)
        if at in marked.branches.within
    }
    assert (marked.line("if a:"), marked.line("def lonely")) in inside
    assert (marked.line("if a > 7"), marked.line("def other")) in inside


def test_docstrings_and_failures_keep_their_places(tmp_path: Path) -> None:
    marked = Marked(tmp_path)
    assert marked.of["begin"].__doc__ == "The docstring stays the docstring."
    with pytest.raises(TypeError) as found:
        marked.of["begin"](1, None)
    assert found.traceback[-1].lineno + 1 == marked.line("if a and")


def test_a_function_without_its_text_runs_unmarked(tmp_path: Path) -> None:
    marked = Marked(tmp_path)
    changed = TEXT.replace("if a > 7", "if a > 8")
    marked.file.write_text(changed)
    tree, branches = marked.branches.tree, Branches(marked.branches.tree, lambda function: True)

    def mark(function: Any, twin: Any) -> Any:
        branches.mark(function, twin)
        return twin

    twins: dict[Any, Any] = dict(tree.copies(mark))
    assert [one.__name__ for one in branches.unread] == ["other"]
    assert twins[marked.plain["begin"]](1, 2) == marked.plain["begin"](1, 2)
