"""The derived programs of the explored attack: every two, then every three operations, from every start.

A start is a folio of anonymous or of file memory, and how each MM maps it: by PTEs, by a PMD, in part, after a fork,
with a page in swap. An operation is given by what a thread does to its own MM, so which ones are possible follows from
how the MM maps the folio. Programs that are equal but for the names of MMs and threads occur once.

The programs that differ most come first: each pair (or triple) of operations from one start, then each from a second
start, and so on.

Operations of the engine that no program here has, and why: see `LEFT_OUT`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, product
from typing import Final, Literal

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.callers import changed_operations
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation, several_mms
from foliolab.framework.verify.explored.programs import HUGE, ORDER, Program

Mapping = Literal["none", "all", "part", "pmd", "swapped", "elsewhere"]
"""How an MM maps the folio: not at all; all pages by PTEs; the first two by PTEs; by a PMD; all by PTEs but for the
first page, which is in swap. elsewhere: the MM is not alive, or what it maps is not known before the program runs."""

LEFT_OUT: Final = {
    "create": "touches no folio; a new MM maps something by fork or map_file only",
    "populate": "allocates a large folio, and the allocator is not explored",
    "file_folio": "the same",
    "drop_file": "the kernel truncates with the folio locked and unmapped, and the folio's lock is not modelled",
    "free": "makes page-table entries clean, and touches no field of a policy",
    "discard": "reclaim holds the folio's lock, which is not modelled",
    "copy_range": "fork is made of it",
    "flush_gather": "after an unmap without a flush only",
    "pin of a shared anonymous page": "the write fault before it decides which page is pinned",
    "two of swap_cache, swap_out, swap_in at the same time": "the kernel holds the folio's lock in each",
    "two of get_user, put_user at the same time": "the model counts these references in a plain field of its own",
    "write of a page in swap": "is a swap_in, then a write",
    "two of migrate at the same time": "each holds the folio's lock from its first change to its last",
    "exit, swap_out, swap_in, a PMD in an MM that several threads use": "not modelled with the MM's locks",
}
"""Operations of `engine.operation.OPERATIONS`, and combinations of them, that are not explored, with the reasons."""

_LOCKED: Final = frozenset({"enter the swap cache", "swap out", "swap in"})
_COUNTED: Final = frozenset({"take a reference", "drop a reference"})
_SHARED_WORDS: Final = (_LOCKED, _COUNTED)
"""Operations of which two never run at the same time, see LEFT_OUT."""
_NEW: Final = 3
"""The first MM that a fork of a thread may create."""


@dataclass(frozen=True)
class Start:
    """How the MMs map the folio when the threads begin.

    Args:
        name: in words.
        setup: the operations that bring it about.
        mappings: of MMs 0, 1 and 2.
        file: whether the folio is of a file.
        traits: of "swap cache", "referenced", "pinned", "batched".
        alike: whether MMs 0 and 1 have the same history, so that they can be exchanged.
    """

    name: str
    order: int
    setup: tuple[str, ...]
    mappings: tuple[Mapping, Mapping, Mapping]
    file: bool = False
    traits: frozenset[str] = frozenset()
    alike: bool = False

    @property
    def pages(self) -> int:
        return 1 << self.order


@dataclass(frozen=True)
class Act:
    """What one thread does.

    Args:
        kind: in words.
        texts: the operations.
        mm: the thread's MM; -1 for none.
        after: how the MM maps the folio afterwards.
    """

    kind: str
    texts: tuple[str, ...]
    mm: int = -1
    after: Mapping = "elsewhere"


# -- starts ------------------------------------------------------------------------------------------------
def _file_starts(order: int, whole: Mapping) -> Iterator[Start]:
    """Files that MMs map."""
    pages = 1 << order
    huge = " pmd=1" if whole == "pmd" else ""
    maps = {"none": 0, "part": 2, whole: pages}
    words = {"none": "does not map it", "part": "maps a part", "all": "maps it by PTEs", "pmd": "maps it by a PMD"}

    def mapping(mm: int, how: Mapping) -> list[str]:
        nr = maps[how]
        return [f"map_file mm={mm} vpn=0 pfn=0 nr={nr}{huge if nr == pages else ''}"] if nr else []

    size = "a file's folio" if order == ORDER else "a file's folio of 2 MiB"
    hows: tuple[Mapping, ...] = ("none", whole, "part")
    thirds: tuple[Mapping, ...] = ("none",) if whole == "pmd" else ("none", whole)
    for third, (one, other) in product(thirds, combinations_with_replacement(hows, 2)):
        mms = range(3 if third != "none" else 2)
        setup = [f"create mm={mm} mm_id={mm + 1}" for mm in mms] + [f"file_folio order={order}"]
        setup += [line for mm, how in zip(mms, (one, other, third), strict=False) for line in mapping(mm, how)]
        name = f"{size}: one MM {words[one]}, one {words[other]}"
        name += f", a third {words[third]}" if third != "none" else ""
        last: Mapping = "elsewhere" if third == "none" else third
        yield Start(name, order, tuple(setup), (one, other, last), True, alike=one == other)
    if whole == "pmd":  # fork copies no PMD of a file: the child maps it when it touches it
        return
    setup = ["create mm=0 mm_id=1", f"file_folio order={order}", *mapping(0, whole), "fork parent=0 child=1 mm_id=2"]
    yield Start(f"{size}: one MM {words[whole]}, and its child", order, tuple(setup), (whole, whole, "elsewhere"), True)
    setup.append("pin mm=0 vpn=0")
    name = f"{size}: one MM {words[whole]} and has pinned a page, and its child"
    yield Start(name, order, tuple(setup), (whole, whole, "elsewhere"), True, frozenset({"pinned"}))


def _anonymous_starts(order: int, whole: Mapping) -> Iterator[Start]:
    """Anonymous folios of one MM, and those that fork has shared."""
    pages = 1 << order
    huge = " pmd=1" if whole == "pmd" else ""
    words = {"all": "by PTEs", "pmd": "by a PMD", "part": "in part"}
    size = "an anonymous folio" if order == ORDER else "an anonymous folio of 2 MiB"
    first = f"populate mm=0 start=0 nr={pages} order={order}{huge}"
    alone = ["create mm=0 mm_id=1", first]
    forked = [*alone, "fork parent=0 child=1 mm_id=2"]

    def part(mm: int) -> list[str]:
        """MM `mm` keeps its first two pages, mapped by PTEs."""
        split = [f"split_pmd mm={mm} start=0"] if whole == "pmd" else []
        return [*split, f"unmap mm={mm} start=2 nr={pages - 2}"]

    def start(
        name: str, setup: Iterable[str], one: Mapping, other: Mapping = "elsewhere", third: Mapping = "elsewhere",
        *traits: str,
    ) -> Start:  # fmt: skip
        return Start(f"{size}{name}", order, tuple(setup), (one, other, third), traits=frozenset(traits))

    yield start(f": one MM maps it {words[whole]}", alone, whole)
    for third in (False,) if whole == "pmd" else (False, True):
        setup = [*forked, "fork parent=0 child=2 mm_id=3"] if third else forked
        behind: Mapping = whole if third else "elsewhere"
        also = ", and so does a third" if third else ""
        for one, other in product((whole, "part"), repeat=2):
            cut = [line for mm, how in enumerate((one, other)) if how == "part" for line in part(mm)]
            name = f" shared by fork: one MM maps it {words[one]}, one {words[other]}{also}"
            yield start(name, [*setup, *cut], one, other, behind)
    yield start(f" that was shared by fork: one MM maps it {words[whole]}", [*forked, "exit mm=1"], whole)
    if whole == "pmd":
        return
    yield start(": one MM maps it and has pinned a page", [*alone, "pin mm=0 vpn=0"], "all", "elsewhere", "elsewhere",
                "pinned")  # fmt: skip
    left = [*forked, "exit mm=1"]
    yield start(" that was shared by fork, with another reference", [*left, "get_user pfn=0"], "all", "elsewhere",
                "elsewhere", "referenced")  # fmt: skip
    yield start(" shared by fork, with another reference", [*forked, "get_user pfn=0"], "all", "all",
                "elsewhere", "referenced")  # fmt: skip
    batched = ["create mm=0 mm_id=1", f"{first} batched=1"]
    yield start(" in an LRU batch", batched, "all", "elsewhere", "elsewhere", "batched")
    batched.append("fork parent=0 child=1 mm_id=2")
    yield start(" in an LRU batch, shared by fork", batched, "all", "all", "elsewhere", "batched")
    yield start(" in the swap cache, that was shared by fork", [*left, "swap_cache pfn=0"], "all", "elsewhere",
                "elsewhere", "swap cache")  # fmt: skip
    states: tuple[Mapping, ...] = ("all", "swapped")
    for one, other in product(states, repeat=2):
        out = [f"swap_out mm={mm} vpn=0" for mm, how in enumerate((one, other)) if how == "swapped"]
        name = f" in the swap cache, shared by fork: {len(out) or 'no'} page{'s' if len(out) > 1 else ''} swapped out"
        name += f" (of MM {0 if one == 'swapped' else 1})" if len(out) == 1 else ""
        yield start(name, [*forked, "swap_cache pfn=0", *out], one, other, "elsewhere", "swap cache")


@cache
def starts(pmd: bool) -> tuple[Start, ...]:
    """All starts, those with small folios first.

    Args:
        pmd: with folios that PMDs map, too.
    """
    found = [*_file_starts(ORDER, "all"), *_anonymous_starts(ORDER, "all")]
    if pmd:
        found += [*_file_starts(HUGE, "pmd"), *_anonymous_starts(HUGE, "pmd")]
    return tuple(found)


@cache
def mixed_starts() -> tuple[Start, ...]:
    """Folios whose PTEs are one batch and not equally writable: callers may take the bits of one for those of all."""
    left = ["create mm=0 mm_id=1", f"populate mm=0 start=0 nr={1 << ORDER} order={ORDER}"]
    left += ["fork parent=0 child=1 mm_id=2", "exit mm=1"]
    return tuple(
        Start(
            f"an anonymous folio that was shared by fork: one MM maps it by PTEs, of which only {which} is writable",
            ORDER, (*left, f"write mm=0 start={page}"), ("all", "elsewhere", "elsewhere"),
        )
        for page, which in ((0, "the first"), (1, "the second"))
    )  # fmt: skip


# -- operations --------------------------------------------------------------------------------------------
def _acts(start: Start, mm: int, how: Mapping) -> Iterator[Act]:
    """What a thread may do to its MM.

    Args:
        how: the MM maps the folio.
    """
    pages = start.pages
    if how == "none" and start.file:
        yield Act("map a page", (f"map_file mm={mm} vpn=0 pfn=0 nr=1",), mm, "elsewhere")
        yield Act("map a part", (f"map_file mm={mm} vpn=0 pfn=0 nr=2",), mm, "part")
        if start.order == HUGE:
            yield Act("map by a PMD", (f"map_file mm={mm} vpn=0 pfn=0 nr={pages} pmd=1",), mm, "pmd")
        else:
            yield Act("map", (f"map_file mm={mm} vpn=0 pfn=0 nr={pages}",), mm, "all")
    if how in ("none", "elsewhere"):
        return
    mapped = 2 if how == "part" else pages
    present = 1 if how == "swapped" else 0
    yield Act("unmap a part", (f"unmap mm={mm} start={present} nr=1",), mm)
    yield Act("unmap", (f"unmap mm={mm} start=0 nr={mapped}",), mm, "none")
    yield Act("unmap, flush later", (f"unmap mm={mm} start=0 nr={mapped} flush=0", "flush_gather"), mm, "none")
    # the range says how many pages a fork may copy, which it does where they are pinned
    every = f"start=0 nr={pages} " if "pinned" in start.traits else ""
    yield Act("fork", (f"fork parent={mm} child={_NEW + mm} {every}mm_id={_NEW + mm + 1}",), mm, how)
    yield Act("write", (f"write mm={mm} start={present}",), mm)
    yield Act("mremap", (f"mremap mm={mm} start=0 to={pages} nr={mapped}",), mm)
    yield Act("mprotect a part", (f"protect mm={mm} start={present} nr=1",), mm, "elsewhere" if how == "pmd" else how)
    yield Act("exit", (f"exit mm={mm}",), mm)
    if how == "pmd":
        yield Act("split the PMD", (f"split_pmd mm={mm} start=0",), mm)
    if how == "part" and start.file:
        rest = 2 if start.order == ORDER else 1
        yield Act("map the rest", (f"map_file mm={mm} vpn=2 pfn=2 nr={rest}",), mm)
    if how == "part":
        yield Act("mremap a part", (f"mremap mm={mm} start=0 to={pages} nr=1",), mm)
    if start.file or start.mappings[1] == "elsewhere":
        yield Act("pin", (f"pin mm={mm} vpn={present}",), mm, how)
    if "swap cache" in start.traits:
        after: Mapping = "swapped" if how == "all" else "elsewhere"
        yield Act("swap out", (f"swap_out mm={mm} vpn={present}",), mm, after)
    if how == "swapped":
        yield Act("swap in", (f"swap_in mm={mm} vpn=0",), mm, "all")


def _bystanders(start: Start) -> Iterator[Act]:
    """What a thread may do that uses no MM."""
    yield Act("ask whether it is shared", ("maybe_shared pfn=0",))
    yield Act("take a reference", ("get_user pfn=0",))
    if "referenced" in start.traits:
        yield Act("drop a reference", ("put_user pfn=0",))
    if "pinned" in start.traits:
        yield Act("unpin", ("unpin pfn=0",))
    if "batched" in start.traits:
        yield Act("drain the LRU batch", ("drain pfn=0",))
    if not start.file and start.order == ORDER and "swap cache" not in start.traits:
        yield Act("enter the swap cache", ("swap_cache pfn=0",))
    yield Act("ask for the mapcount", ("mapcount pfn=0",))
    yield Act("ask for kpagecount", ("kpagecount pfn=0",))
    yield Act("ask for bit 56", ("exclusive pfn=0",))


def _acts_of_several(start: Start, thread: int) -> Iterator[Act]:
    """What a thread may do to MM 0, which another thread uses at the same time."""
    pages = start.pages
    yield Act("write", ("write mm=0 start=0",), 0)
    yield Act("write another page", ("write mm=0 start=1",), 0)
    yield Act("pin by GUP-fast", ("gup_fast mm=0 vpn=0",), 0)
    yield Act("unmap a part", ("unmap mm=0 start=0 nr=1",), 0)
    yield Act("unmap", (f"unmap mm=0 start=0 nr={pages}",), 0)
    child = _NEW + thread
    yield Act("fork", (f"fork parent=0 child={child} start=0 nr={pages} mm_id={child + 1}",), 0)
    yield Act("mremap", (f"mremap mm=0 start=0 to={pages} nr={pages}",), 0)
    yield Act("mprotect a part", ("protect mm=0 start=0 nr=1",), 0)
    if not start.file:
        yield Act("migrate", (f"migrate mm=0 vpn=0 child={_NEW + 1 - thread}",), 0)
    if start.file:
        yield Act("unmap a page and read it", ("unmap mm=0 start=0 nr=1", "map_file mm=0 vpn=0 pfn=0 nr=1"), 0)


# -- programs ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Derived:
    """A derived program, which `program` writes out.

    Args:
        threads: what each thread does.
    """

    start: Start
    threads: tuple[tuple[Act, ...], ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The operations in words, without their order among threads."""
        return tuple(sorted(", then ".join(act.kind for act in thread) for thread in self.threads))

    def runs(self, operations: Set[str]) -> bool:
        """Whether a thread runs one of these operations."""
        return any(text.split()[0] in operations for thread in self.threads for act in thread for text in act.texts)

    @property
    def program(self) -> Program:
        """The program that the explored attack searches: its machine, set-up and threads."""
        pages = self.start.pages
        threads = tuple(tuple(Operation.parse(text) for act in thread for text in act.texts) for thread in self.threads)
        frames = 4 * pages if self.start.order == ORDER else 2 * pages
        shape = Shape(frames, 2 * _NEW, 2 * pages, len(threads), self.start.order)
        several = "; two threads of one MM" if several_mms(threads) else ""
        name = f"{' | '.join(self.kinds)} ({self.start.name}{several})"
        return Program(name, shape, tuple(map(Operation.parse, self.start.setup)), threads)


def _may_meet(threads: Iterable[tuple[Act, ...]]) -> bool:
    kinds = [{act.kind for act in thread} for thread in threads]
    return all(sum(bool(one & words) for one in kinds) < 2 for words in _SHARED_WORDS)


def _pairs(start: Start) -> Iterator[Derived]:
    first = list(_acts(start, 0, start.mappings[0]))
    second = list(_acts(start, 1, start.mappings[1]))
    alone = list(_bystanders(start))
    order = {act.kind: number for number, act in enumerate(first)}
    both = [(a, b) for a, b in product(first, second) if not start.alike or order[a.kind] <= order[b.kind]]
    beside = list(product(first, alone)) + ([] if start.alike else list(product(second, alone)))
    for one, other in (*both, *beside):
        threads = ((one,), (other,))
        if _may_meet(threads):
            yield Derived(start, threads)


def _pairs_of_one_mm(start: Start) -> Iterator[Derived]:
    """Two threads of MM 0, which maps the folio by PTEs."""
    if start.order != ORDER or start.traits or start.mappings[0] != "all" or start.mappings[2] != "elsewhere":
        return
    first, second = list(_acts_of_several(start, 0)), list(_acts_of_several(start, 1))
    for number, one in enumerate(first):
        for other in second[number:]:
            if one.kind == other.kind == "migrate":
                continue  # see LEFT_OUT
            yield Derived(start, ((one,), (other,)))


def _triples(start: Start) -> Iterator[Derived]:
    """Three threads with an operation each, and two threads of which one has two operations."""
    acts = [list(_acts(start, mm, how)) for mm, how in enumerate(start.mappings)]
    alone = list(_bystanders(start))
    for third in (acts[2], alone):
        for a, b, c in product(acts[0], acts[1], third):
            yield Derived(start, ((a,), (b,), (c,)))
    whose = (0,) if start.alike else (0, 1)
    for mm in whose:
        others = [*acts[1 - mm], *alone]
        twice = [(a, b) for a in acts[mm] for b in _acts(start, mm, a.after) if b.kind not in ("fork",)]
        for both, other in product(twice, others):
            yield Derived(start, (both, (other,)))


def _by_difference(found: Iterable[Derived]) -> list[Derived]:
    """Each combination of operations once, then each once more from another start, and so on."""
    seen: dict[tuple[str, ...], int] = {}
    rounds: list[tuple[int, Derived]] = []
    for one in found:
        number = seen[one.kinds] = seen.get(one.kinds, -1) + 1
        rounds.append((number, one))
    return [one for _, one in sorted(rounds, key=lambda pair: pair[0])]


@cache
def _all(make: Callable[[Start], Iterator[Derived]], pmd: bool) -> tuple[Derived, ...]:
    return tuple(_by_difference(one for start in starts(pmd) for one in make(start) if _may_meet(one.threads)))


def _has_pmds(scheme: Scheme) -> bool:
    return "pmd" in scheme.capabilities and scheme.policy.max_order >= HUGE


def pairs(scheme: Scheme) -> tuple[Derived, ...]:
    """Every two operations from every start that is one of the policy's; under a caller, those that it changes.

    Those of two threads of one MM come last, but under a caller.
    """
    of_one_mm = tuple(
        one for one in _all(_pairs_of_one_mm, False) if scheme.caller is None or one.runs(_changed(scheme))
    )
    usual = _of(scheme, _pairs)
    return (*usual, *of_one_mm) if scheme.caller is None else (*of_one_mm, *usual)


def triples(scheme: Scheme) -> tuple[Derived, ...]:
    """Every three operations: of three threads, or two of one thread and one of another."""
    return _of(scheme, _triples)


def _changed(scheme: Scheme) -> frozenset[str]:
    return changed_operations(scheme.caller) if scheme.caller else frozenset()


def _of(scheme: Scheme, make: Callable[[Start], Iterator[Derived]]) -> tuple[Derived, ...]:
    usual = _all(make, _has_pmds(scheme))
    if scheme.caller is None:
        return usual
    changed = _changed(scheme)
    mixed = (one for start in mixed_starts() for one in make(start) if _may_meet(one.threads))
    return tuple(one for one in (*mixed, *usual) if one.runs(changed))
