"""The programs of the explored attack: small concurrent programs, like the litmus tests of memory models.

A policy's claims select the programs; the smallest come first. They cover the life of a folio: files mapped and
unmapped by several MMs, anonymous folios shared by fork, writes while other MMs unmap, references other than mappings,
swapping, and PMD beside PTE mappings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import UsageError
from foliolab.framework.verify.counterexample import Counterexample

ORDER: Final = 2
PAGES: Final = 1 << ORDER
HUGE: Final = 9
_QUERY: Final = "maybe_shared pfn=0"


@dataclass(frozen=True)
class Program:
    """A set-up and a few threads.

    Args:
        name: a short description.
        setup: operations that run first, each as a whole.
        threads: the operations of each thread.
    """

    name: str
    shape: Shape
    setup: tuple[Operation, ...]
    threads: tuple[tuple[Operation, ...], ...]


def program_of(example: Counterexample, name: str) -> Program:
    """The program of a counterexample, without its schedule: its machine, set-up and threads.

    Args:
        name: of the program.

    Raises:
        UsageError: the counterexample has one thread.
    """
    given: Any = example.shape  # one keyword is a flag, stored as 0 or 1
    shape = replace(Shape(**given), contents=False)
    setup = tuple(map(Operation.parse, example.setup))
    threads = tuple(tuple(example.operations(thread)) for thread in range(len(example.threads)))
    if len(threads) == 1:
        raise UsageError(
            f"{name} has one thread: nothing in it runs at the same time", f"`foliolab step {name}` repeats it"
        )
    return Program(name, shape, setup, threads)


def _program(name: str, mms: int, setup: list[str], threads: list[list[str]], order: int = ORDER) -> Program:
    pages = 1 << order
    # The address space is twice the folio: MMs may map pages beyond it, too.
    shape = Shape(
        4 * pages if order == ORDER else 2 * pages, mms, 2 * pages if order == ORDER else pages, len(threads), order
    )
    parse = Operation.parse
    return Program(name, shape, tuple(map(parse, setup)), tuple(tuple(map(parse, texts)) for texts in threads))


def _file(mms: int, nr: int, rounds: int = 1, reader: bool = False) -> Program:
    """MMs map and unmap the same pages of a file."""
    setup = [f"create mm={mm}" for mm in range(mms)] + [f"file_folio order={ORDER}"]
    threads = [
        [f"map_file mm={mm} vpn=0 pfn=0 nr={nr}", f"unmap mm={mm} start=0 nr={nr}"] * rounds for mm in range(mms)
    ]
    name = f"{mms} MMs map and unmap {nr} page{'s' if nr > 1 else ''} of a file"
    name += f", {rounds} times" if rounds > 1 else ""
    return _program(name + _with_reader(reader, threads), mms, setup, threads)


def _one_by_one() -> Program:
    """MMs map and unmap pages of a file one by one."""
    threads = [
        [f"map_file mm={mm} vpn={page} pfn={page} nr=1" for page in (0, 1)]
        + [f"unmap mm={mm} start={page} nr=1" for page in (0, 1)]
        for mm in (0, 1)
    ]  # fmt: skip
    setup = ["create mm=0 mm_id=1", "create mm=1 mm_id=2", f"file_folio order={ORDER}"]
    return _program("2 MMs map and unmap 2 pages of a file, one by one", 2, setup, threads)


def _slow_reader() -> Iterator[Program]:
    """A slow reader: two MMs map a file all the time, while others map and unmap it."""
    setup = [f"create mm={mm} mm_id={mm + 1}" for mm in range(3)] + [f"file_folio order={ORDER}"]
    setup += [f"map_file mm={mm} vpn=0 pfn=0 nr=1" for mm in (0, 1)]
    third = "map_file mm=2 vpn=0 pfn=0 nr=1"
    yield _program("a third MM maps a file, with a lockless reader", 3, setup, [[third], [_QUERY]])
    threads = [["unmap mm=2 start=0 nr=1"], [_QUERY]]
    yield _program("one of three MMs unmaps a file, with a lockless reader", 3, [*setup, third], threads)
    # two writers: a writer that meets another one may take a different path than a single one
    setup = ["create mm=3 mm_id=4", *setup, "map_file mm=3 vpn=0 pfn=0 nr=1"]
    threads = [[third], ["unmap mm=3 start=0 nr=1"], [_QUERY]]
    yield _program("one maps a file, one of three unmaps it, with a lockless reader", 4, setup, threads)


def _there_and_back() -> Iterator[Program]:
    """What a reader sees twice may have changed and changed back in between (ABA): two MMs map a file all the time."""
    setup = [f"create mm={mm} mm_id={mm + 1}" for mm in range(3)] + [f"file_folio order={ORDER}"]
    setup += ["map_file mm=0 vpn=0 pfn=0 nr=2", "map_file mm=1 vpn=0 pfn=0 nr=1"]
    part = ["unmap mm=0 start=1 nr=1", "map_file mm=0 vpn=1 pfn=1 nr=1"]
    yield _program(
        "one of two unmaps a page and maps it again, twice, with a lockless reader", 3, setup, [part * 2, [_QUERY]]
    )
    comes = ["map_file mm=2 vpn=0 pfn=0 nr=1", "unmap mm=2 start=0 nr=1"]
    yield _program("a third MM maps and unmaps a file, twice, with a lockless reader", 3, setup, [comes * 2, [_QUERY]])
    yield _program(
        "one of three MMs unmaps and maps a file, twice, with a lockless reader", 3, [*setup, comes[0]],
        [[*reversed(comes)] * 2, [_QUERY]],
    )  # fmt: skip
    turns = [part, comes, [_QUERY]]
    yield _program(
        "one of two unmaps and maps a page while a third comes and goes, with a lockless reader", 3, setup, turns
    )
    forks = ["fork parent=0 child=2 mm_id=3", "exit mm=2"]
    yield _program(
        "a second owner forks and its child exits, twice, with a lockless reader", 3, _shared(2), [forks * 2, [_QUERY]]
    )


def _with_reader(reader: bool, threads: list[list[str]]) -> str:
    if not reader:
        return ""
    threads.append([_QUERY])
    return ", with a lockless reader"


def _shared(mms: int) -> list[str]:
    """The set-up of an anonymous folio that `mms` MMs map; none of its pages is AnonExclusive."""
    forks = [f"fork parent=0 child={mm} mm_id={mm + 1}" for mm in range(1, mms)]
    return ["create mm=0 mm_id=1", f"populate mm=0 start=0 nr={PAGES} order={ORDER}", *forks]


def _leave(mm: int) -> str:
    return f"unmap mm={mm} start=0 nr={PAGES}"


def _anonymous(reader: bool) -> Iterator[Program]:
    """Anonymous folios that fork has shared."""
    threads = [["write mm=0 start=0", _leave(0)], [_leave(1)]]
    yield _program("one writes and leaves while the other leaves", 2, _shared(2), threads)
    yield _program("both write the same page", 2, _shared(2), [["write mm=0 start=0"], ["write mm=1 start=0"]])
    threads = [["fork parent=0 child=1 mm_id=2"]]
    yield _program("a fork" + _with_reader(reader, threads), 2, _shared(1), threads)
    threads = [["fork parent=0 child=2 mm_id=3"], ["exit mm=1"]]
    yield _program("one forks while the other exits" + _with_reader(reader, threads), 3, _shared(2), threads)
    threads = [["unmap mm=0 start=0 nr=2"], ["unmap mm=1 start=1 nr=2"]]
    yield _program("both unmap a part" + _with_reader(reader, threads), 2, _shared(2), threads)
    threads = [
        ["unmap mm=0 start=0 nr=2", "write mm=0 start=2"],
        ["unmap mm=1 start=0 nr=3", "unmap mm=1 start=3 nr=1"],
    ]
    yield _program("one unmaps a part and writes while the other leaves in parts", 2, _shared(2), threads)
    threads = [["write mm=0 start=0"], ["fork parent=1 child=2 mm_id=3", _leave(1), _leave(2)]]
    yield _program("one writes while the other forks on and leaves", 3, _shared(2), threads)


def _others(claims: frozenset[str]) -> Iterator[Program]:
    """References other than mappings."""
    if "reuse" not in claims:
        return
    alone = [*_shared(2), "exit mm=1"]
    user = ["get_user pfn=0", "put_user pfn=0"]
    yield _program(
        "the sole owner writes while another thread takes a reference", 2, alone, [["write mm=0 start=0"], user]
    )
    yield _program(
        "the sole owner writes while another thread drops a reference", 2, [*alone, "get_user pfn=0"],
        [["write mm=0 start=0"], ["put_user pfn=0"]],
    )  # fmt: skip
    swap = [*_shared(2), "swap_cache pfn=0"]
    out = ["swap_out mm=1 vpn=0", "swap_in mm=1 vpn=0"]
    yield _program("one writes while the other swaps out and in", 2, swap, [["write mm=0 start=0"], out])
    swap += [f"unmap mm=1 start=1 nr={PAGES - 1}", "swap_out mm=1 vpn=0"]
    back = ["swap_in mm=1 vpn=0"]
    yield _program("the sole owner writes while another one swaps in", 2, swap, [["write mm=0 start=0"], back])
    back += ["unmap mm=1 start=0 nr=1"]
    yield _program(
        "the sole owner writes while another one swaps in and leaves", 2, swap, [["write mm=0 start=0"], back]
    )


def _huge(reader: bool) -> Iterator[Program]:
    """PMD mappings beside PMD and PTE mappings: order 9, with operations on few pages."""
    setup = ["create mm=0 mm_id=1", "create mm=1 mm_id=2", f"file_folio order={HUGE}"]
    by_pmd = [f"map_file mm=0 vpn=0 pfn=0 nr={1 << HUGE} pmd=1", f"unmap mm=0 start=0 nr={1 << HUGE}"]
    threads = [by_pmd, [text.replace("mm=0", "mm=1") for text in by_pmd]]
    yield _program("2 MMs map and unmap a file by a PMD" + _with_reader(reader, threads), 2, setup, threads, HUGE)
    threads = [by_pmd, ["map_file mm=1 vpn=0 pfn=0 nr=1", "unmap mm=1 start=0 nr=1"]]
    yield _program(
        "one maps a file by a PMD, the other by a PTE" + _with_reader(reader, threads), 2, setup, threads, HUGE
    )
    anon = ["create mm=0 mm_id=1", f"populate mm=0 start=0 nr={1 << HUGE} order={HUGE} pmd=1"]
    threads = [["fork parent=0 child=2 mm_id=3"], ["exit mm=1"]]
    shared = [*anon, "fork parent=0 child=1 mm_id=2"]
    yield _program("one forks by a PMD while the other exits" + _with_reader(reader, threads), 3, shared, threads, HUGE)
    # Linux 6.15-rc asked in between whether a PMD maps the folio (specification 2.7)
    threads = [["write mm=0 start=0 nr=1 nbytes=1"], [f"unmap mm=1 start=0 nr={1 << HUGE}"]]
    shared = [*shared, "split_pmd mm=0 start=0"]
    yield _program(
        "a write fault, while the other unmaps by a PMD" + _with_reader(reader, threads), 3, shared, threads, HUGE
    )


def _across_tables() -> Iterator[Program]:
    """Folios whose PTEs lie in two page tables: a batch of PTEs ends with the first one."""
    vpn = PTRS_PER_PTE - PAGES // 2
    setup = ["create mm=0 mm_id=1", "create mm=1 mm_id=2", f"file_folio order={ORDER}"]
    threads = [
        [f"map_file mm={mm} vpn={vpn} pfn=0 nr={PAGES}", f"unmap mm={mm} start={vpn} nr={PAGES}"] for mm in (0, 1)
    ]
    file = _program("2 MMs map and unmap a file across the end of a page table", 2, setup, threads)
    threads = [[f"mremap mm=0 start=0 to={vpn} nr={PAGES}", f"unmap mm=0 start={vpn} nr={PAGES}"], [_leave(1)]]
    moved = _program("one moves a folio across the end of a page table while the other leaves", 2, _shared(2), threads)
    for one in (file, moved):
        yield replace(one, shape=replace(one.shape, nr_vpns=2 * PTRS_PER_PTE))


def programs(scheme: Scheme) -> Iterator[Program]:
    """The programs for a policy, from small to large."""
    claims = scheme.capabilities
    reader = "safe" in claims
    yield _file(2, 1, reader=False)
    if reader:
        yield from _slow_reader()
        yield _file(2, 1, reader=True)
    yield _one_by_one()
    yield from _anonymous(reader)
    yield from _others(claims)
    if reader:
        yield from _there_and_back()
    yield _file(2, 2, reader=reader)
    yield from _across_tables()
    if "pmd" in claims and scheme.policy.max_order >= HUGE:
        yield from _huge(reader)
    yield _file(3, 1)
    three = [["write mm=0 start=0"], [_leave(1)], [_leave(2)]]
    yield _program("one writes while two leave", 3, _shared(3), three)
    yield _file(2, 1, rounds=2, reader=reader)
    if reader:
        yield _file(3, 1, reader=True)
    forks = [["fork parent=0 child=3 mm_id=4", "exit mm=3"], ["exit mm=1"], ["write mm=2 start=1"]]
    yield _program("one forks, one exits, one writes", 4, _shared(3), forks)
    yield _file(3, 2, reader=False)
    if reader:
        forks = [*forks, [_QUERY]]
        yield _program("one forks, one exits, one writes, with a lockless reader", 4, _shared(3), forks)
    yield _file(4, 1)
    yield _file(3, 1, rounds=2)
    yield _file(4, 2)
