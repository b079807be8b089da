"""Call trees: what may be part of a policy, what replaces what, and what counts as a change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foliolab.framework.errors import NativeBuildError
from foliolab.framework.machine.calltree import CallTree, noinline
from foliolab.framework.machine.layout import Field, Layouts, Struct
from foliolab.framework.machine.primitives import PRIMITIVES, atomic_inc, load, pte_at, store

LAYOUTS = Layouts(
    (Struct("page", 64, ()), Struct("folio", 64, ()), Struct("pte", 8, (Field("pte", "u64", 0, wraps=True),)))
)
HERE = Path(__file__).name

A_LIST: list[int] = []
A_DICT = {1: 2}
A_SET = {1}
AN_ARRAY = np.zeros(2)
FACTOR = 3
WORD = "text"
COUNT = 0


def line_of(function: Any, after: int) -> str:
    return f"{HERE}:{function.__code__.co_firstlineno + after}"


def tree(function: Any, **constants: Any) -> CallTree:
    named = {(__name__, name): value for name, value in constants.items()}
    return CallTree([function], PRIMITIVES, {}, named)


# -- refused by the call tree, interpreted and native alike ------------------------------------------
def reads_list(vm):
    return A_LIST[0]


def reads_dict(vm):
    return A_DICT[1]


def reads_set(vm):
    return 1 in A_SET


def reads_array(vm):
    return AN_ARRAY[0]


def calls_reader(vm):
    return reads_dict(vm)


def make_closure(step):
    def closure(vm):
        return step

    return closure


@pytest.mark.parametrize(
    ("function", "named", "kind"),
    [
        (reads_list, "A_LIST", "list"),
        (reads_dict, "A_DICT", "dict"),
        (reads_set, "A_SET", "set"),
        (reads_array, "AN_ARRAY", "ndarray"),
        (calls_reader, "A_DICT", "dict"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_mutable_global_is_refused(function: Any, named: str, kind: str) -> None:
    guilty = reads_dict if function is calls_reader else function
    with pytest.raises(NativeBuildError, match=re.escape(line_of(guilty, 1))) as fault:
        tree(function)
    assert f"{named!r}, a {kind}" in str(fault.value)


def test_closure_is_refused() -> None:
    closure = make_closure(3)
    with pytest.raises(NativeBuildError, match="is a closure") as fault:
        tree(closure)
    assert line_of(closure, 0) in str(fault.value)


# -- refused by the compiler ---------------------------------------------------------------------------
def misspelt(vm):
    entry = pte_at(vm, 0)
    return load(entry.ptee)


def calls_misspelt(vm):
    value = 1
    return value + misspelt(vm)


def uses_dict(vm):
    found = {}
    found[1] = load(pte_at(vm, 0).pte)
    return len(found)


def uses_list(vm):
    found = [load(pte_at(vm, 0).pte)]
    return len(found)


def writes_global(vm):
    global COUNT  # noqa: PLW0603
    COUNT = COUNT + 1
    return COUNT


def imports(vm):
    import time

    return time.time()


def opens(vm):
    return open("/dev/null")


def formats(vm):
    return f"{load(pte_at(vm, 0).pte):x}"


def undefined(vm):
    return no_such_function(vm)  # type: ignore[name-defined]  # noqa: F821


def store_text(vm):
    store(pte_at(vm, 0).pte, WORD)  # type: ignore[arg-type]
    return 0


@pytest.mark.parametrize(
    ("function", "guilty", "line", "says"),
    [
        (misspelt, misspelt, 2, "Unknown attribute 'ptee'"),
        (calls_misspelt, misspelt, 2, "Unknown attribute 'ptee'"),
        (uses_dict, uses_dict, None, "a dict"),
        (uses_list, uses_list, None, "a dict, list"),
        (writes_global, writes_global, 2, "changes the global 'COUNT'"),
        (imports, imports, 1, "imports time"),
        (opens, opens, 1, "'open'"),
        (formats, formats, None, "cannot be compiled"),
        (undefined, undefined, None, "no_such_function"),
        (store_text, store_text, 1, "cannot be compiled"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_native_refusal_names_the_authors_line(function: Any, guilty: Any, line: int | None, says: str) -> None:
    native = pytest.importorskip("foliolab.framework.machine.native", reason="numba is missing")
    with pytest.raises(NativeBuildError) as fault:
        native.Library(tree(function), LAYOUTS).get(function, "m")
    message = str(fault.value)
    assert says in message
    assert HERE in message.splitlines()[0]
    if line is not None:
        assert line_of(guilty, line) in message


# -- constants and replacements -------------------------------------------------------------------------
def plain(vm):
    return FACTOR


def in_list(vm):
    return [FACTOR for _ in range(2)][1]


def in_generator(vm):
    return sum(FACTOR for _ in range(2)) // 2


def in_lambda(vm):
    return (lambda: FACTOR)()  # noqa: PLC3002


def in_default(vm, factor=FACTOR):
    return FACTOR


@pytest.mark.parametrize("function", [plain, in_list, in_generator, in_lambda, in_default], ids=lambda f: f.__name__)
def test_chosen_constant_is_seen_everywhere(function: Any) -> None:
    """A parameter that one expression misses would silently measure another scheme."""
    chosen = tree(function, FACTOR=10)
    assert chosen.copies(lambda _, twin: twin)[function](None) == 10
    assert function(None) == 3, "the author's own module stays as it was"
    assert chosen.digest(function) != tree(function).digest(function)


def stub(vm):
    return 1


def other(vm):
    return FACTOR * 2


def uses_stub(vm):
    return stub(vm) + 100


def test_replacement_and_its_constants() -> None:
    replaced = CallTree([uses_stub], PRIMITIVES, {stub: other}, {(__name__, "FACTOR"): 4})
    twins: dict[Any, Any] = dict(replaced.copies(lambda _, twin: twin))
    assert twins[uses_stub](None) == 108
    assert {f.__name__ for f in replaced.reached(uses_stub)} == {"uses_stub", "other"}
    assert uses_stub(None) == 101


# -- what is a change -----------------------------------------------------------------------------------
def compiled_from(text: str) -> Any:
    space: dict[str, Any] = {"__name__": "author", "atomic_inc": atomic_inc, "pte_at": pte_at, "noinline": noinline}
    exec(compile(text, "author.py", "exec"), space)
    return space["root"]


BASE = '''
STEP = 1

def helper(vm, n):
    """Says something."""
    return n + STEP

def root(vm):
    atomic_inc(pte_at(vm, 0).pte)
    return helper(vm, 2)
'''
EDITS = {
    "comment": (BASE.replace("    return n", "    # why\n    return n"), True),
    "blank lines": (BASE.replace("def root", "\n\n\ndef root"), True),
    "docstring": (BASE.replace("Says something.", "Says something else."), True),
    "unrelated function": (BASE + "\ndef extra(vm):\n    return 5\n", True),
    "constant": (BASE.replace("STEP = 1", "STEP = 2"), False),
    "literal": (BASE.replace("helper(vm, 2)", "helper(vm, 3)"), False),
    "literal of another type": (BASE.replace("helper(vm, 2)", "helper(vm, 2.0)"), False),
    "callee": (BASE.replace("n + STEP", "n - STEP"), False),
    "primitive": (BASE.replace("    atomic_inc(pte_at(vm, 0).pte)", "    pte_at(vm, 0).pte"), False),
    "called, not contained": (BASE.replace("def helper", "@noinline\ndef helper"), False),
    "field": (BASE.replace("pte_at(vm, 0).pte", "pte_at(vm, 0).other"), False),
}


@pytest.mark.parametrize("edit", EDITS)
def test_digest_changes_exactly_with_the_meaning(edit: str) -> None:
    def digest(text: str) -> str:
        root = compiled_from(text)
        return CallTree([root], PRIMITIVES, {}, {}).digest(root)

    text, same = EDITS[edit]
    assert text != BASE
    assert (digest(text) == digest(BASE)) is same
