"""Operations of a modelled machine as data: the one vocabulary that everything which drives a machine lowers to.

An operation is a method of `engine.machine.Machine` by name, with integer arguments by name. Steps of a scenario,
what a sharing pattern does, the verifier's sequences and counterexamples, and what a workload times with
`Machine.bind` are all made of operations. Only the events of a recorded trace are not carried out one by one:
`replay.loop` runs millions of them a second in native code, on the same engine functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from foliolab.framework import intake
from foliolab.framework.errors import UsageError


@dataclass(frozen=True)
class Signature:
    """What an operation takes.

    Args:
        arguments: names in the order of the method's parameters, separated by spaces; `?` marks an optional one.
        sentence: what it does. Names of arguments stand in braces; `{pages}` is the range from `start` (or `vpn`)
            on, `{order}` the size of a folio.
    """

    arguments: str
    sentence: str

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments' names, in order."""
        return tuple(self.arguments.replace("?", "").split())

    @property
    def needed(self) -> tuple[str, ...]:
        """Those that are not optional."""
        return tuple(name for name in self.arguments.split() if not name.endswith("?"))


OPERATIONS: Final[dict[str, Signature]] = {
    "create": Signature("mm mm_id?", "{mm} is created"),
    "exit": Signature("mm flush?", "{mm} exits"),
    "fork": Signature("parent child start? nr? mm_id?", "{parent} forks {child}"),
    "copy_range": Signature("parent child start nr", "{parent} copies {pages} to {child}"),
    "populate": Signature("mm start nr order pmd? batched?", "{mm} faults in {pages}, in folios of {order}"),
    "file_folio": Signature("order shmem?", "a file folio of {order} is allocated"),
    "map_file": Signature("mm vpn pfn nr shared? write? pmd?", "{mm} maps a file at {pages}"),
    "drop_file": Signature("pfn", "the file folio of frame {pfn} is truncated"),
    "unmap": Signature("mm start nr flush?", "{mm} unmaps {pages}"),
    "flush_gather": Signature("", "the mmu_gather batch is flushed"),
    "split_pmd": Signature("mm start nr?", "{mm} splits the PMDs of {pages}"),
    "protect": Signature("mm start nr", "{mm} protects {pages} and makes them writable again"),
    "mremap": Signature("mm start to nr", "{mm} moves {pages} to {to}"),
    "write": Signature("mm start nr? value? nbytes?", "{mm} writes {pages}"),
    "get_user": Signature("pfn nr?", "a reference to frame {pfn} is taken (GUP)"),
    "put_user": Signature("pfn nr?", "a reference to frame {pfn} is dropped (GUP)"),
    "pin": Signature("mm vpn", "{mm} pins {pages} for DMA"),
    "gup_fast": Signature("mm vpn", "{mm} pins {pages} for writing, by GUP-fast"),
    "unpin": Signature("pfn", "frame {pfn} is unpinned"),
    "drain": Signature("pfn", "the LRU batch with frame {pfn} is drained"),
    "swap_cache": Signature("pfn", "frame {pfn} enters the swap cache"),
    "swap_out": Signature("mm vpn", "{mm} has {pages} swapped out"),
    "swap_in": Signature("mm vpn", "{mm} has {pages} swapped in"),
    "free": Signature("mm start nr", "{mm} frees {pages} lazily (MADV_FREE)"),
    "discard": Signature("mm vpn", "reclaim discards the lazily freed folio at {pages} of {mm}"),
    "migrate": Signature("mm vpn child?", "the folio at {pages} of {mm} has migration entries for a while"),
    "maybe_shared": Signature("pfn", "the policy is asked whether several MMs may map the folio of frame {pfn}"),
    "mapcount": Signature("pfn", "the policy is asked for the mapcount of the folio of frame {pfn}"),
    "kpagecount": Signature("pfn", "/proc/kpagecount is read for frame {pfn}"),
    "exclusive": Signature("pfn", "bit 56 of pagemap is read for frame {pfn}"),
}
"""Methods of `Machine` that change its state, then those that ask the policy."""


def mm_text(mm: int) -> str:
    """The name of an MM in a sentence."""
    return f"MM {mm}"


def pages_text(start: int, nr: int) -> str:
    """A range of pages in a sentence."""
    return f"page {start:,}" if nr == 1 else f"pages {start:,} to {start + nr - 1:,}"


def folio_size_text(order: int) -> str:
    """The size of a folio of 4 KiB pages in a sentence: 64 KiB, 2 MiB."""
    kib = 4 << order
    return f"{kib >> 10} MiB" if kib >> 10 else f"{kib} KiB"


@dataclass(frozen=True)
class Operation:
    """An operation by its name and its arguments, all of them integers (a flag is 0 or 1).

    Args:
        name: one of OPERATIONS.
        arguments: those that are given, by name.

    Raises:
        UsageError: there is no such operation, or it has no such argument.
    """

    name: str
    arguments: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        known = _names(self.name)
        for name, _ in self.arguments:
            if name not in known:
                raise UsageError(f"operation {self.name} has no argument {name!r}", _takes(self.name))

    @classmethod
    def of(cls, name: str, **arguments: int) -> Operation:
        """An operation with its arguments by name."""
        return cls(name, tuple((argument, int(value)) for argument, value in arguments.items()))

    @classmethod
    def call(cls, name: str, *positional: int, **named: int | None) -> Operation:
        """An operation from the arguments of a call of the method; None stands for a default.

        Raises:
            UsageError: there is no such operation, or it takes fewer arguments.
        """
        _names(name)
        names = OPERATIONS[name].names
        if len(positional) > len(names):
            raise UsageError(f"operation {name} does not take {len(positional)} arguments", _takes(name))
        given = dict(zip(names, positional, strict=False)) | named
        return cls.of(name, **{argument: value for argument, value in given.items() if value is not None})

    @classmethod
    def parse(cls, text: str) -> Operation:
        """Read what `text` writes, such as `fork parent=0 child=1`.

        Raises:
            UsageError: there is no such operation or argument, an argument is missing or there twice, or a value is
                not a number of 64 bits.
        """
        name, *words = text.split() or [""]
        known = _names(name)
        arguments: dict[str, int] = {}
        for word in words:
            argument, equals, value = word.partition("=")
            found = intake.number(value) if equals else None
            if argument not in known or argument in arguments or found is None:
                raise UsageError(
                    f"operation {intake.excerpt(text)}: {intake.excerpt(word)} is not understood", _takes(name)
                )
            arguments[argument] = found
        if missing := [one for one in OPERATIONS[name].needed if one not in arguments]:
            raise UsageError(f"operation {intake.excerpt(text)} lacks {', '.join(missing)}", _takes(name))
        return cls(name, tuple(arguments.items()))

    @property
    def text(self) -> str:
        """The operation as `parse` reads it; the form that counterexample files have."""
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.arguments)])

    def get(self, name: str, default: int = 0) -> int:
        """One argument; `default` where it is not given."""
        return dict(self.arguments).get(name, default)

    def has(self, *names: str) -> bool:
        """Whether any of these arguments is given."""
        return any(name in names for name, _ in self.arguments)

    @property
    def mms(self) -> tuple[int, ...]:
        """The MMs that it names."""
        return tuple(value for name, value in self.arguments if name in ("mm", "parent", "child") and value >= 0)

    @property
    def start(self) -> int:
        """The first page of address space that it names; -1 where it names none."""
        return self.get("start", self.get("vpn", -1))

    def sentence(self, mm: Callable[[int], str] = mm_text, pages: Callable[[int, int], str] = pages_text) -> str:
        """The operation in one sentence, without a full stop.

        Args:
            mm: the name of an MM, by number.
            pages: the name of a range of pages, by the first one and their number.
        """
        nr = self.get("nr", 1)
        words = {name: f"{self.get(name):,}" for name in OPERATIONS[self.name].names}
        words |= {name: mm(self.get(name)) for name in ("mm", "parent", "child")}
        words |= {"pages": pages(self.start, nr), "to": pages(self.get("to"), nr)}
        words["order"] = folio_size_text(self.get("order"))
        return OPERATIONS[self.name].sentence.format(**words)

    def __str__(self) -> str:
        return self.text


def several_mms(threads: Sequence[Sequence[Operation]]) -> frozenset[int]:
    """The MMs that several threads use."""
    users = Counter(mm for thread in threads for mm in {mm for operation in thread for mm in operation.mms})
    return frozenset(mm for mm, count in users.items() if count > 1)


@cache
def _names(operation: str) -> frozenset[str]:
    if operation not in OPERATIONS:
        raise UsageError(
            f"there is no operation {intake.excerpt(operation)}", f"operations are {', '.join(OPERATIONS)}"
        )
    return frozenset(OPERATIONS[operation].names)


def _takes(operation: str) -> str:
    return f"{operation} takes {', '.join(OPERATIONS[operation].names) or 'no arguments'}"
