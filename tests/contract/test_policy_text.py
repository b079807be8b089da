"""What the reference refuses in a policy's text is refused before anything runs, with file and line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import foliolab.policies
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import policytext
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.policytext import BUILTINS, REFUSED
from foliolab.framework.engine.policytree import policy_tree
from foliolab.framework.errors import PluginError, PolicyTextError
from foliolab.framework.plugins.registry import load
from foliolab.framework.verify.laws import Watch

REFERENCE = Path(__file__).parents[2] / "docs" / "reference-hooks.md"
TEXT = """
import math
import time

import numpy as np

from foliolab.framework.api import *

BIG = 1 << 70
HALF = 0.5
NAMES = ("a", "b")


def stored(folio, nr):
    return load(folio._x) + nr


def silent(folio):
    store(folio._x, 1)


def sometimes(folio):
    if load(folio._x):
        return 1


def new_anon(folio, page, nr, mm):
    atomic_add(nr, folio._large_mapcount)
    NEW


def add_ptes(folio, page, nr, mm):
    ADD


def dup_ptes(folio, page, nr, mm):
    atomic_add(nr, folio._large_mapcount)


def remove_ptes(folio, page, nr, mm):
    REMOVE


def maybe_mapped_shared(folio):
    ASK


POLICY = Policy(
    name="mine", summary="mine", references=("a test",), capabilities=frozenset({"safe"}),
    fields=(
        Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings, minus 1"),
        Stored("_x", "i64", page=1, offset=40, init=0, doc="a number"),
        Stored("_a", "i32", page=2, offset=40, init=0, count=3, doc="numbers"),
    ),
    hooks=Hooks(new_anon=new_anon, add_ptes=add_ptes, dup_ptes=dup_ptes, remove_ptes=remove_ptes,
                maybe_mapped_shared=maybe_mapped_shared),
)
"""
GOOD = {
    "NEW": "return",
    "ADD": "return folio_nr_pages(folio) if atomic_add_return(nr, folio._large_mapcount) == nr - 1 else 0",
    "REMOVE": "return folio_nr_pages(folio) if atomic_add_return(-nr, folio._large_mapcount) == -1 else 0, False",
    "ASK": "return atomic_read(folio._large_mapcount) > 0",
}
WRONG: list[tuple[str, str, str]] = [
    # numbers
    ("ASK", "return load(folio._x) > 0.5", "has the number 0.5, which is not whole"),
    ("ASK", "return load(folio._x) / 2 > 1", "divides to a float (/)"),
    ("ASK", "return load(folio._x) > HALF", "has the number HALF = 0.5, which is not whole"),
    ("ASK", "return load(folio._x) > math.pi", "has the number math.pi, which is not whole"),
    ("NEW", "store(folio._x, float(nr))", "calls float, which no execution knows"),
    ("NEW", "store(folio._x, 99999999999999999999)", "has the number 99999999999999999999, which does not fit 64 bits"),
    ("NEW", "store(folio._x, 1 << 70)", "has the number 1180591620717411303424, which does not fit 64 bits"),
    ("NEW", "store(folio._x, BIG & nr)", "has the number BIG = 1180591620717411303424, which does not fit 64 bits"),
    ("NEW", "store(folio._x, 0xFFFFFFFFFFFFFFFF & nr)", "has the number 18446744073709551615, which does not fit"),
    ("NEW", "store(folio._x, 1j)", "has the number 1j, which is not whole"),
    ("NEW", 'text = "abc"', "has the string 'abc'"),
    ("NEW", "store(folio._x, len(NAMES))", "has the string NAMES = 'a'"),
    ("NEW", "nothing = None", "has the value None"),
    # arguments
    ("NEW", "atomic_add(folio._x, nr)", "calls atomic_add(folio._x, nr): folio._x is a field"),
    ("NEW", "store(nr, folio._x)", "calls store(nr, folio._x): nr is a number"),
    ("NEW", "cmpxchg(0, folio._x, nr)", "calls cmpxchg(0, folio._x, nr): 0 is a number"),
    ("NEW", "store(folio._x, load(nr))", "calls load(nr): nr is a number"),
    ("NEW", "store(folio._x, stored(nr, folio))", "uses folio._x, but folio is a number"),
    ("NEW", "atomic_add(nr)", "calls atomic_add(nr)"),
    ("NEW", "atomic_inc(1, folio._x)", "calls atomic_inc(1, folio._x)"),
    ("NEW", "atomic_add(value=nr, ref=folio._x)", "names arguments of atomic_add"),
    ("NEW", "store(folio._x, load(nr._x))", "uses nr._x, but nr is a number"),
    # answers
    ("ADD", "return None", "the hook add_ptes does not return a number, but nothing here"),
    ("ADD", "atomic_add(nr, folio._x)", "the hook add_ptes does not return a number, but nothing at its end"),
    ("ADD", "if nr > 1:\n        return 0", "the hook add_ptes does not return a number, but nothing at its end"),
    ("ADD", "return silent(folio)", "does not return a number, but what silent(folio) gives: nothing"),
    ("ADD", "return sometimes(folio)", "returns a value on some paths, and nothing at its end"),
    ("ADD", "return 0, 1", "the hook add_ptes does not return a number, but (0, 1)"),
    ("ADD", "return mm", "the hook add_ptes does not return a number, but mm"),
    ("REMOVE", "return 0", "the hook remove_ptes does not return (nr, partially_mapped), but"),
    ("REMOVE", "return 0, 0, False", "the hook remove_ptes does not return (nr, partially_mapped), but"),
    ("NEW", "x = silent(folio)", "uses the result of silent(folio), which gives none"),
    (
        "NEW",
        "store(folio._x, atomic_add(nr, folio._x))",
        "uses the result of atomic_add(nr, folio._x), which gives none",
    ),
    # fields
    ("NEW", "folio._x = nr", "assigns to folio._x"),
    ("NEW", "folio._x += nr", "assigns to folio._x"),
    ("NEW", "folio._a[1] = nr", "assigns to folio._a[1]"),
    ("ASK", "return folio._x", "uses the field folio._x as if it were its value"),
    ("ASK", "return folio._x > 0", "uses the field folio._x as if it were its value"),
    ("ASK", "if not folio._a[1]:\n        return True\n    return False", "uses the field folio._a[1] as if it were"),
    ("NEW", "for i in range(folio._x):\n        store(folio._x, i)", "uses the field folio._x as if it were"),
    ("NEW", "store(folio._x, load(mm.pgd))", "uses mm.pgd, which is not a field of the policy"),
    ("ASK", "return load(folio._refcount) > 1", "uses folio._refcount, which is not a field of the policy"),
    ("NEW", "store(folio._x, load(page.flags))", "uses page.flags, which is not a field of the policy"),
    ("NEW", "folio._x.write('store', nr)", "calls the method folio._x.write"),
    # calls
    ("NEW", "print(nr)", "prints"),
    ("NEW", "store(folio._x, np.int64(nr))", "calls np.int64, which no execution knows"),
    ("NEW", "store(folio._x, np.sum(nr))", "reads the global 'np.sum'"),
    ("NEW", "store(folio._x, math.isqrt(nr))", "reads the global 'math.isqrt'"),
    ("NEW", "store(folio._x, time.time_ns())", "reads the global 'time.time_ns'"),
    ("NEW", "store(folio._x, sum((1, nr)))", "calls sum, which no execution knows"),
    ("NEW", "store(folio._x, absent(nr))", "reads 'absent', which is nowhere defined"),
    # syntax
    ("NEW", "try:\n        store(folio._x, 1)\n    except ValueError:\n        pass", "handles exceptions (try)"),
    ("NEW", "raise nr", "raises an exception"),
    ("NEW", "assert atomic_sub_return(nr, folio._x) >= 0", "calls atomic_sub_return in a check"),
    ("NEW", "VM_WARN_ON(cmpxchg(folio._x, 0, nr) < 0)", "calls cmpxchg in a check"),
    ("NEW", "VM_WARN_ON(folio._x)", "uses the field folio._x as if it were its value"),
    ("NEW", "one = lambda x: x", "has a lambda"),
    ("NEW", "def inner(x):\n        return x", "defines a function inside of it"),
    ("NEW", "with mm:\n        pass", "has a with statement"),
    ("NEW", "x = [1, 2]", "makes a list"),
    ("NEW", "x = {1: 2}", "makes a dict"),
    ("NEW", "x = sum(i for i in range(nr))", "calls sum"),
    ("NEW", "x = f'{nr}'", "makes a string"),
    ("NEW", "del nr", "deletes something"),
    ("NEW", "yield nr", "is a generator (yield)"),
    ("NEW", "match nr:\n        case 1:\n            pass", "has a match statement"),
]


def policy_of(folder: Path, **parts: str) -> Scheme:
    text = TEXT
    for name, good in GOOD.items():
        text = text.replace(f"    {name}\n", f"    {parts.get(name, good)}\n")
    file = folder / "mine.py"
    file.write_text(text)
    return load([file], strict=True).policy("mine")


def refusal(folder: Path, **parts: str) -> str:
    scheme = policy_of(folder, **parts)
    try:
        policy_tree(scheme)
    except PluginError as fault:
        assert fault.hint
        assert re.search(r"mine\.py:\d+ ", fault.what), fault.what
        return fault.what
    return ""


@pytest.mark.parametrize(("where", "line", "what"), WRONG, ids=[line.partition("\n")[0] for _, line, _ in WRONG])
def test_what_authors_get_wrong_is_said_with_file_and_line(where: str, line: str, what: str, tmp_path: Path) -> None:
    assert what in refusal(tmp_path, **{where: line})


@pytest.mark.parametrize(
    "line",
    [
        "return",
        "assert nr > 0, f'{nr} pages'\n    atomic_inc(folio._x)",
        "for i in (1, 2):\n        store(folio._a[i], min(nr, i))",
        "store(folio._x, -9223372036854775808 | nr)",
        "field = folio._a[1]\n    store(field, load(field) + 1)",
        "a, b = nr, load(mm.mm_id)\n    if (c := a + b) > 1:\n        store(folio._x, c)",
        "'A text for readers.'\n    while True:\n        break",
    ],
)
def test_what_the_reference_allows_is_allowed(line: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, NEW=line) == ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "x = 1 << 62\n    store(folio._x, x * 8 >> 60)",
            "new_anon calculates 36893488147419103232",
        ),
        ("x = nr << 60\n    store(folio._x, x << 2 >> 60)", "new_anon calculates 18446744073709551616"),
        ("x = 1 << 62\n    for i in range(4):\n        x += x", "new_anon calculates 9223372036854775808"),
        ("x = (nr + 61) ** 20", "new_anon calculates"),
        ("x = nr + 1 << 60\n    store(folio._x, u64(x * 8) & 0)", ""),
        ("x = nr + 1 << 60\n    store(folio._x, x * 100 & 0)", ""),
    ],
)
def test_arithmetic_beyond_64_bits_is_refuted_with_its_line(line: str, says: str, tmp_path: Path) -> None:
    watch = Watch(Machine(policy_of(tmp_path, NEW=line), Shape(16, 1, 4, max_order=2), "interpreted"))
    operations = ("create mm=0", "populate mm=0 start=0 nr=4 order=2")
    broken = [one for text in operations for one in watch.apply(Operation.parse(text))]
    assert [one.law for one in broken] == (["field-width"] if says else [])
    assert all(says in one and re.search(r"mine\.py:\d+", one) for one in broken)


def test_arguments_of_a_hook_in_another_order(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = TEXT.replace("def add_ptes(folio, page, nr, mm)", "def add_ptes(folio, nr, page, mm)")
    for name, good in GOOD.items():
        text = text.replace(f"    {name}\n", f"    {good}\n")
    file.write_text(text)
    with pytest.raises(PolicyTextError, match=r"takes \(folio, nr, page, mm\), but the hook add_ptes gets"):
        policy_tree(load([file], strict=True).policy("mine"))


def test_annotations_may_name_what_is_imported_for_types_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since Python 3.14 that needs no `from __future__ import annotations`."""
    late = "" if sys.version_info >= (3, 14) else "from __future__ import annotations\n"
    names = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from somewhere import Large\n"
    typed = TEXT.replace("def stored(folio, nr):", "def stored(folio: Large, nr: int) -> int:")
    monkeypatch.setitem(globals(), "TEXT", late + names + typed)
    assert refusal(tmp_path, NEW="store(folio._x, stored(folio, nr))") == ""


def test_the_shipped_policies_keep_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policytext, "OWN", ("nobody",))
    seen = set()
    real = policytext.Text.check

    def noted(text: policytext.Text) -> None:
        seen.add(text.function)
        real(text)

    monkeypatch.setattr(policytext.Text, "check", noted)
    for policy in foliolab.policies.foliolab_policies():
        policytext.check_text(policy_tree(policy.with_parameters()), policy.with_parameters())
    assert len(seen) > 100


def test_the_reference_lists_what_is_refused() -> None:
    listed = re.search(r"<!-- refused -->\n(.*?)<!-- end -->", REFERENCE.read_text(), re.S)
    assert listed is not None
    assert re.findall(r"^- (.*)$", listed[1], re.M) == list(dict.fromkeys(what for what, _ in REFUSED.values()))
    assert all(f"`{name}`" in REFERENCE.read_text() for name in BUILTINS)
