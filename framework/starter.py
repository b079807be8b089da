"""The file that a new policy starts from: commented, and complete as it stands; it loads, compares and verifies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import UsageError

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

TEXT: Final = '''"""POLICY-NAME: an owner and a shared mark. Say here what the idea is, and where it comes from.

The first MM that maps a folio becomes its owner. When another one maps it, the folio is marked as shared, and stays so
until nothing maps it. That is safe (a folio that two MMs map is never called exclusive), but not exact: once everybody
but one has gone, it is still called shared.

Whatever you save is loaded, compiled and checked at once in the window. On the command line:

    foliolab show POLICY-NAME --plugin FILE
    foliolab verify --plugin FILE
    foliolab compare --plugin FILE --policies POLICY-NAME --quick
"""

from __future__ import annotations

from typing import Any

# Everything that a policy may use comes from here; reading and writing a field is always one of these calls, so that
# the same text can be interpreted, compiled, explored in every interleaving, and solved.
from foliolab.framework.api import (
    Bits,
    Hooks,
    Policy,
    Stored,
    atomic_add_return,
    atomic_read,
    bit_spin_lock,
    bit_spin_unlock,
    folio_nr_pages,
    load,
    store,
)

NOBODY = 0
LOCK_BIT = 0
SHARED = 1 << 1

# What the policy stores: `page` is the struct page of the folio (1: the first tail page), `offset` the byte in it.
# Fields that overlap with the kernel's own, or with each other, are refused with the reason.
FIELDS = (
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_owner", "u32", page=1, offset=40, init=NOBODY, doc="ID of the MM that mapped it first"),
    Stored(
        "_state", "u32", page=1, offset=44, init=0, doc="lock, and whether another MM has mapped it since",
        bits=(Bits("lock", 0), Bits("shared", 1)),
    ),
)


def _add(folio: Any, nr: int, mm: Any) -> int:
    """nr mappings more by an MM; how many there are now. The lock keeps owner and mark together."""
    bit_spin_lock(LOCK_BIT, folio._state)
    total = atomic_add_return(nr, folio._large_mapcount) + 1
    owner = load(folio._owner)
    if owner == NOBODY:
        store(folio._owner, load(mm.mm_id))
    elif owner != load(mm.mm_id):
        store(folio._state, load(folio._state) | SHARED)
    bit_spin_unlock(LOCK_BIT, folio._state)
    return total


def _sub(folio: Any, nr: int) -> int:
    """nr mappings less; how many there are now. With the last one the folio belongs to nobody again."""
    bit_spin_lock(LOCK_BIT, folio._state)
    total = atomic_add_return(-nr, folio._large_mapcount) + 1
    if total == 0:
        store(folio._owner, NOBODY)
        store(folio._state, load(folio._state) & ~SHARED)
    bit_spin_unlock(LOCK_BIT, folio._state)
    return total


# The hooks: what the kernel calls when mappings come and go. `foliolab.framework.policy.Hooks` lists all of them with
# their arguments; those that are left out do nothing, or answer as Linux 6.14 does.
def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    """A new anonymous folio gets its first nr mappings; nobody else sees it yet."""
    _add(folio, nr, mm)


def add_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    """nr PTEs map pages of the folio; by how much the statistic of mapped pages grows."""
    return folio_nr_pages(folio) if _add(folio, nr, mm) == nr else 0


def dup_ptes(folio: Any, page: Any, nr: int, mm: Any) -> None:
    """fork: nr PTEs more, in the child `mm`."""
    _add(folio, nr, mm)


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    """nr PTEs are gone; by how much the statistic shrinks, and whether the folio is partially mapped now."""
    left = _sub(folio, nr)
    return folio_nr_pages(folio) if left == 0 else 0, False


def maybe_mapped_shared(folio: Any) -> bool:
    """False only if certainly a single MM maps the folio: that is the question."""
    return atomic_read(folio._large_mapcount) > 0 and load(folio._state) & SHARED != 0


POLICY = Policy(
    name="POLICY-NAME",
    summary="an owner and a shared mark: safe, not exact",
    references=("where the idea comes from: a mail, a commit, a section",),
    layout="6.15",
    fields=FIELDS,
    # What you claim is put to the test: "exact", "exact-for-two", "safe", "page-mapcount", "partial-mapping", "pmd",
    # "reuse" and others; `foliolab.framework.policy.CAPABILITIES` says what each of them means.
    capabilities=frozenset({"safe"}),
    hooks=Hooks(
        new_anon=new_anon,
        add_ptes=add_ptes,
        dup_ptes=dup_ptes,
        remove_ptes=remove_ptes,
        maybe_mapped_shared=maybe_mapped_shared,
    ),
)
'''


def text(name: str) -> str:
    """The starting file of a policy.

    Raises:
        UsageError: it is no name for a policy.
    """
    if not NAME.fullmatch(name):
        hint = "a name is lower-case letters and digits, with hyphens between words, such as my-idea"
        raise UsageError(f"{name!r} is no name for a policy", hint)
    return TEXT.replace("POLICY-NAME", name)


def write(name: str, path: Path) -> Path:
    """Write the starting file of a policy.

    Args:
        name: of the policy.
        path: the file; it must not exist.

    Raises:
        UsageError: it is no name for a policy, the file exists, or is none of Python.
        ResultFileError: the place cannot be written to.
    """
    begun = text(name)
    if path.suffix != ".py":
        raise UsageError(f"{path} is no Python file", "let its name end in .py")
    if path.exists():
        raise UsageError(f"{path} exists already", "open it, or choose another name")
    write_atomically(path, begun.encode())
    return path


def file_name(name: str) -> str:
    """How the file of a policy is called by default."""
    return f"{name.replace('-', '_')}.py"
