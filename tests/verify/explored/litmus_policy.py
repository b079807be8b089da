"""Litmus tests as the text of one policy: each process is what the hook does for an MM with an ID of its own.

A process is written in a few words: `x=1` stores, `r0=x` loads, `x.=1` is a release and `r0=.x` an acquire; `r1=y@r0`
loads from an address that depends on r0, and `x=1@r0` stores a value that does (`r1=.y@r0`, `x.=1@r0`); behind `if r0`
all depends on a branch; `x++` is an addition without a result, `r0=++x` one with a result; `lock` and `unlock` are of a
bit lock, `r0=cas x` is a compare-and-exchange that fails unless x is 9, which it makes 8; mb, rmb and wmb are barriers.
All locations begin with 0.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

LOCATIONS: Final = "xyzw"
_STATEMENTS: Final = (
    (r"([xyzw])=(\d)", "WRITE_ONCE({0}, {1})"),
    (r"([xyzw])\.=(\d)", "smp_store_release({0}, {1})"),
    (r"([xyzw])=(\d)@(r\d)", "WRITE_ONCE({0}, {1} + ({2} & 0))"),
    (r"(r\d)=([xyzw])", "{0} = READ_ONCE({1})"),
    (r"(r\d)=\.([xyzw])", "{0} = smp_load_acquire({1})"),
    (r"([xyzw])\.=(\d)@(r\d)", "smp_store_release({0}, {1} + ({2} & 0))"),
    (r"(r\d)=([xyzw])@(r\d)", "{0} = READ_ONCE({1}@{2})"),
    (r"(r\d)=\.([xyzw])@(r\d)", "{0} = smp_load_acquire({1}@{2})"),
    (r"([xyzw])\+\+", "atomic_inc({0})"),
    (r"(r\d)=\+\+([xyzw])", "{0} = atomic_inc_return({1})"),
    (r"(r\d)=cas ([xyzw])", "{0} = cmpxchg({1}, 9, 8)"),
    (r"(mb|rmb|wmb)", "smp_{0}()"),
    (r"lock", "bit_spin_lock(0, folio._word)"),
    (r"unlock", "bit_spin_unlock(0, folio._word)"),
)
_HEAD: Final = """
from typing import Any
from foliolab.framework.api import (
    READ_ONCE, WRITE_ONCE, Hooks, Policy, Stored, atomic_inc, atomic_inc_return, bit_spin_lock, bit_spin_unlock,
    cmpxchg, load, smp_load_acquire, smp_mb, smp_rmb, smp_store_release, smp_wmb, store,
)

def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    pass

def maybe_mapped_shared(folio: Any) -> bool:
    return True

def mapcount(folio: Any) -> int:
    return 1

def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    return 0, False
"""
_TAIL: Final = """
WORD = Stored("_word", "u64", page=1, offset=32, init=0, doc="lock")
LOCATIONS = Stored("_locations", "u32", page=1, offset=64, count=4, init=0, doc="locations")
REGISTERS = Stored("_registers", "u32", page=1, offset=96, count=8, init=0, doc="what the processes have loaded")
POLICY = Policy(
    name="litmus", summary="a test's", references=("a test",), fields=(WORD, LOCATIONS, REGISTERS),
    hooks=Hooks(new_anon=new_anon, add_ptes=run, dup_ptes=run, remove_ptes=remove_ptes,
                maybe_mapped_shared=maybe_mapped_shared, mapcount=mapcount),
)
"""


def _place(location: str) -> str:
    name, _, register = location.partition("@")
    number = LOCATIONS.index(name)
    return f"folio._locations[{number} + ({register} & 0)]" if register else f"folio._locations[{number}]"


def _lines(process: str, number: int) -> list[str]:
    """The text of a process, behind the head of its function."""
    lines, indent = ["r0 = r1 = 0"], ""
    for words in (part.strip() for part in process.split(";")):
        if words.startswith("if "):
            lines.append(f"{indent}if {words[3:]}:")
            indent += "    "
            continue
        for pattern, text in _STATEMENTS:
            if found := re.fullmatch(pattern, words):
                given = text.format(*found.groups())
                lines.append(indent + re.sub(r"\b([xyzw](@r\d)?)(?=[,)])", lambda at: _place(at[0]), given))
                break
        else:
            raise AssertionError(words)
    return [*lines, *(f"store(folio._registers[{2 * number + at}], r{at})" for at in range(2))]


def module_of(tests: Sequence[str], folder: Path) -> ModuleType:
    """The policy of these tests, whose processes are separated by bars. MM 4 * test + process + 1 runs a process."""
    text, runs = _HEAD, []
    for test, processes in enumerate(tests):
        for number, process in enumerate(processes.split("|")):
            name = f"p{test}_{number}"
            body = "\n".join(f"    {line}" for line in _lines(process, number))
            text += f"\ndef {name}(folio: Any) -> None:\n{body}\n"
            runs.append(f"    if me == {4 * test + number + 1}:\n        {name}(folio)\n")
    text += "\ndef run(folio: Any, page: Any, nr: int, mm: Any) -> int:\n    me = load(mm.mm_id)\n"
    path = folder / "litmus_texts.py"
    path.write_text(text + "".join(runs) + "    return 0\n" + _TAIL)
    found = importlib.util.spec_from_file_location("litmus_texts", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
