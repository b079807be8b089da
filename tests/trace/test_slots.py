"""Whom the kernel remembers of folios: read from an image of memory, and from this kernel's where it can be read."""

from __future__ import annotations

import importlib.util
import os
import platform
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foliolab.framework.contract.trace_records import Fault
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording import btf, kernel_memory, slots, snapshots
from foliolab.framework.kernel.recording.attachment import Attachment
from foliolab.framework.kernel.recording.kernel_memory import KernelMemory
from foliolab.framework.kernel.recording.slots import Reader, Remembered
from foliolab.framework.kernel.recording.target import Target
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.importers import remembered
from foliolab.framework.trace.importers.snapshots import ProcessSnapshot

PAGES, TASKS, MMS = 0xFFFF_EA00_0000_0000, 0xFFFF_8880_0000_0000, 0xFFFF_8880_0100_0000
PAGE = 64


class Type:
    """BTF of a few structs; each member is (name, type, bit offset)."""

    def __init__(self) -> None:
        self.names, self.types = b"\0", b""
        self.nr = 0

    def add(self, name: str, kind: int, size: int, *members: tuple[str, int, int]) -> int:
        self.types += struct.pack("<III", self._name(name), kind << 24 | len(members), size)
        self.types += b"".join(struct.pack("<III", self._name(member), of, bits) for member, of, bits in members)
        self.types += bytes(btf.BEHIND.get(kind, (0, 0))[0])
        self.nr += 1
        return self.nr

    def _name(self, name: str) -> int:
        if not name:
            return 0
        self.names += name.encode() + b"\0"
        return len(self.names) - len(name) - 1

    def data(self) -> bytes:
        head = struct.pack("<HBBIIIII", btf.MAGIC, 1, 0, 24, 0, len(self.types), len(self.types), len(self.names))
        return head + self.types + self.names


def kernel_types(mm_ids: bool = True, head: str = "compound_head") -> btf.Types:
    """Structs as Linux 6.18 has them, at other offsets than there where these do not matter."""
    made = Type()
    number = made.add("int", 1, 4)
    tail = made.add("", 5, 8, (head, number, 0))
    made.add("page", 4, PAGE, ("flags", number, 0), ("", made.add("list", 8, tail), 64))
    second = made.add("", 4, PAGE, ("_large_mapcount", number, 128), ("_mm_id_mapcount", number, 256))
    ids = made.add("", 5, 8, ("_mm_ids", number, 0)) if mm_ids else number
    made.add("folio", 4, 3 * PAGE, ("flags", number, 0), ("", second, 512), ("" if mm_ids else "rest", ids, 512 + 320))
    made.add("task_struct", 4, 64, ("tasks", number, 128), ("tgid", number, 320), ("mm", number, 384))
    made.add("mm_struct", 4, 64, ("mm_id", number, 256))
    return btf.Types(made.data())


class Image:
    """A kernel's memory, of which each read can be followed by a change."""

    def __init__(self, types: btf.Types) -> None:
        self.bytes: dict[int, bytes] = {}
        self.reads = 0
        self.then: Callable[[int], object] = bool
        self.memory = KernelMemory(self.read, {"vmemmap_base": 16, "init_task": TASKS}.__getitem__, types, "an image")
        self.put(16, struct.pack("<Q", PAGES))
        self.processes({})

    def put(self, address: int, data: bytes) -> None:
        self.bytes.update({address + at: data[at : at + 1] for at in range(len(data))})

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        found = b"".join(self.bytes.get(address + at, b"") for at in range(size))
        if len(found) < size:
            raise OSError("no such memory")
        self.then(address)
        return found

    def processes(self, ids: dict[int, int]) -> None:
        """The list of processes: MM IDs by PID, 0 for one without an MM."""
        tasks = [TASKS + 64 * at for at in range(len(ids) + 1)]
        for at, (pid, mm_id) in enumerate({0: 0, **ids}.items()):
            following = tasks[(at + 1) % len(tasks)] + 16
            mm = MMS + 64 * at if mm_id else 0
            self.put(tasks[at], bytes(16) + struct.pack("<QQQiiQQ", following, 0, 0, pid, 0, mm, 0))
            self.put(MMS + 64 * at, bytes(32) + struct.pack("<II", mm_id, 0))

    def folio(self, pfn: int, total: int, *having: tuple[int, int], flags: int = 0, head: int = 0) -> None:
        """A folio with slots (MM ID, mappings); `flags`: LOCK and SHARED."""
        (first, one), (second, other) = (*having, *[(0, 0)] * 2)[:2]
        ids = first | second << 32 | flags
        data = struct.pack(
            "<QQiiiiiiQQQ", 0, head or PAGES + pfn * PAGE | 1, total - 1, 0, 0, 0, one - 1, other - 1, ids, 0, 0
        )
        self.put(PAGES + (pfn + 1) * PAGE, data)


@pytest.fixture
def image() -> Image:
    return Image(kernel_types())


def process(pid: int, *runs: tuple[int, int, int, int]) -> ProcessSnapshot:
    """One that has runs of (page, pages, PFN, order) mapped."""
    page, pfn, order = (
        np.concatenate([np.arange(nr) + run[at] if at < 3 else np.full(nr, run[3]) for run in runs for nr in [run[1]]])
        for at in (0, 2, 3)
    )
    return ProcessSnapshot(pid, 1, 0, "", page, pfn, order, 5)


def test_members_are_found_in_unnamed_structs() -> None:
    types = kernel_types()
    assert (types.size("page"), types.offset("page", "compound_head")) == (64, 8)
    assert (types.offset("folio", "_large_mapcount"), types.offset("folio", "_mm_ids")) == (80, 104)
    assert types.has("folio", "_mm_id_mapcount")
    assert not types.has("folio", "no_such_member")
    with pytest.raises(KernelError, match="has no no_such_member"):
        types.offset("folio", "no_such_member")
    with pytest.raises(KernelError, match="no struct union_of_nothing"):
        types.size("union_of_nothing")
    for data in (b"", b"\x9f\xeb", bytes(64), Type().data()[:20]):
        with pytest.raises(KernelError, match="type information cannot be read"):
            btf.Types(data)


@pytest.mark.skipif(not os.access(btf.RUNNING, os.R_OK), reason=f"there is no {btf.RUNNING}")
def test_this_kernels_own_types_are_read() -> None:
    types = btf.Types.of_running()
    assert types.offset("task_struct", "tasks") % 8 == types.offset("list_head", "next") == 0
    assert types.size("page") & 7 == 0


def test_slots_are_read_as_they_are(image: Image) -> None:
    image.folio(160, 21, (7, 16), (9, 5), flags=slots.SHARED)
    image.folio(176, 16, (7, 16))
    image.folio(192, 8, flags=slots.SHARED)
    reader = Reader(image.memory)
    assert reader.folio(160, 4) == Remembered(21, ((7, 16), (9, 5)), True)
    assert reader.folio(176, 4) == Remembered(16, ((7, 16), (0, 0)), False)
    assert reader.folio(192, 4) == Remembered(8, ((0, 0), (0, 0)), True)
    assert [one is not None and one.consistent for one in (reader.folio(160, 4), reader.folio(192, 4))] == [True] * 2
    assert not Remembered(16, ((7, 16), (0, 0)), True).consistent
    image.folio(176, 16, (7, 16), head=PAGES | 1)
    assert reader.folio(176, 4) is None, "the page is of another folio by now"
    assert reader.folio(1 << 20, 4) is None, "there is no such memory"


def test_a_tail_page_may_say_by_a_mask_where_its_head_is() -> None:
    image = Image(kernel_types(head="compound_info"))
    for order in (2, 4):
        image.folio(160, 16, (7, 16), head=-(PAGE << order) & (1 << 64) - 1 | 1)
        assert (Reader(image.memory).folio(160, 4) is not None) == (order == 4)


def test_a_folio_that_is_locked_is_read_again(image: Image) -> None:
    image.folio(160, 16, (7, 16), flags=slots.LOCK)
    reader = Reader(image.memory)
    before = image.reads
    assert reader.folio(160, 4) is None
    assert image.reads == before + slots.TRIES
    image.then = lambda _: image.folio(160, 15, (7, 15))
    assert reader.folio(160, 4) == Remembered(15, ((7, 15), (0, 0)), False)


def test_what_changes_between_two_readings_is_not_known(image: Image) -> None:
    image.processes({30: 7, 31: 9})
    processes = [process(30, (100, 16, 160, 4), (200, 16, 176, 4)), process(31, (100, 16, 160, 4), (300, 1, 5, 0))]
    image.folio(160, 32, (7, 16), flags=slots.SHARED)
    image.folio(176, 16, (7, 16))
    found = slots.read(Reader(image.memory), processes)
    assert [row[1:] for row in found.rows] == [
        (30, ev.SLOTS, 0, 0, 32, 16, 160), (30, ev.SLOTS, 0, 0, 16, 16, 176), (31, ev.SLOTS, 0, 0, 32, 0, 160),
    ]  # fmt: skip
    assert (found.folios, found.same) == (2, 2)
    image.then = lambda at: image.folio(160, 31, (7, 16), flags=slots.SHARED) if at == PAGES + 161 * PAGE else None
    found = slots.read(Reader(image.memory), processes)
    assert [row.other for row in found.rows] == [176]
    image.then = lambda at: image.processes({30: 8, 31: 9}) if at == PAGES + 177 * PAGE else None
    rows = slots.read(Reader(image.memory), processes).rows
    assert [row.pid for row in rows] == [31], "the other process has executed another program"


def test_a_list_of_processes_that_breaks_is_read_again(image: Image) -> None:
    image.processes({30: 7, 31: 9, 32: 0})
    reader = Reader(image.memory)
    whole, image.bytes[TASKS + 64 + 16] = image.bytes[TASKS + 64 + 16], b"\1"
    with pytest.raises(KernelError, match="cannot be read"):
        reader.mm_ids()
    left = [9]

    def mend(address: int) -> None:
        left[0] -= 1
        if not left[0]:
            image.bytes[TASKS + 64 + 16] = whole

    image.then = mend
    assert reader.mm_ids() == {30: 7, 31: 9}


def test_kernels_without_slots_are_named() -> None:
    with pytest.raises(KernelError, match="no MM IDs"):
        Reader(Image(kernel_types(mm_ids=False)).memory)


# -- what is known when the trace begins ------------------------------------------------------------
Row = list[int]


def marked(total: int, counts: dict[int, int], *rows: tuple[int, int], order: int = 4) -> list[int]:
    """The flags of PRESENT rows (MM, pages) of a folio of which slots were read."""
    found = remembered.Remembered()
    for mm, count in counts.items():
        found.add(mm, 512, total, count)
    listed: list[Row] = [[5, mm, ev.PRESENT, 0, order, 0, 100, nr, 512] for mm, nr in rows]
    listed.append([5, 1, ev.PRESENT, 0, 0, 0, 999, 1, 7])
    found.mark(listed)
    assert listed[-1][3] == 0
    assert found.known == any(row[3] for row in listed)
    return [row[3] for row in listed[:-1]]


READ, HAS = ev.REMEMBERED, ev.REMEMBERED | ev.HAS_SLOT


@pytest.mark.parametrize(
    ("total", "counts", "rows", "flags"),
    [
        (32, {1: 16, 2: 0}, [(1, 16), (2, 16)], [HAS, READ]),
        (20, {1: 16, 2: 4}, [(1, 12), (2, 4), (1, 4)], [HAS, HAS, HAS]),
        (40, {1: 16, 2: 0}, [(1, 16), (2, 16)], [0, 0]),  # another MM maps it, too
        (32, {1: 12, 2: 0}, [(1, 16), (2, 16)], [0, 0]),  # the slot came when the MM had mapped a part
        (32, {1: 16}, [(1, 16), (2, 16)], [0, 0]),  # MM 2 was forked meanwhile
        (32, {1: 16, 2: 16}, [(1, 16)], [0]),  # MM 2 has unmapped it meanwhile
    ],
)  # fmt: skip
def test_slots_that_do_not_fit_what_is_mapped_are_unknown(
    total: int, counts: dict[int, int], rows: list[tuple[int, int]], flags: list[int]
) -> None:
    assert marked(total, counts, *rows) == flags


@pytest.mark.parametrize(("total", "counts", "known"), [
    (2, {1: 1, 2: 0}, True), (513, {1: 1, 2: 0}, True), (1024, {1: 512, 2: 0}, True), (3, {1: 1, 2: 0}, False),
    (513, {1: 1, 2: 512}, True), (1024, {1: 512, 2: 1}, False),
])  # fmt: skip
def test_a_pmd_is_one_mapping(total: int, counts: dict[int, int], known: bool) -> None:
    assert any(marked(total, counts, (1, 512), (2, 512), order=9)) == known


# -- attaching ---------------------------------------------------------------------------------------
@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> Attachment:
    """An attachment to a process that has a large folio mapped."""
    taken = process(30, (100, 16, 160, 4))
    monkeypatch.setattr(Target, "running", lambda target: [30])
    monkeypatch.setattr(snapshots, "take", lambda pids: snapshots.Snapshot(60, [taken], []))
    return Attachment(Target(pid=30))


def test_the_header_says_that_slots_were_read_and_when(
    attached: Attachment, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.processes({30: 7})
    image.folio(160, 16, (7, 16))
    monkeypatch.setattr(kernel_memory, "opened", lambda core: image.memory)
    attached.read()
    (note,) = attached.notes
    assert "the slots of 1 of 1 large folios" in note and "an image, twice within" in note and note.startswith("At ")
    rows = list(attached.records([Fault(attached.until + 1, 0, 30, 30, 0x7000, 7, False)]))
    assert isinstance(rows.pop(), Fault), "all that was read is of an earlier time"
    assert [getattr(row, "kind", 0) for row in rows] == [ev.PRESENT, 0, ev.SLOTS]
    assert rows[-1].time == attached.until


def test_what_is_missing_is_named_and_the_bounds_remain(
    attached: Attachment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not os.access(btf.RUNNING, os.R_OK) or platform.machine() not in kernel_memory.MACHINES:
        pytest.skip("this kernel's types cannot be read")
    monkeypatch.setattr(kernel_memory, "KCORE", tmp_path / "kcore")
    attached.read()
    assert "were not read: there is no" in attached.notes[0] and "CONFIG_PROC_KCORE" in attached.notes[0]
    (tmp_path / "kcore").write_bytes(b"none")
    monkeypatch.setattr(kernel_memory, "import_module", _absent)
    attached.notes.clear()
    attached.read()
    assert "drgn cannot be imported" in attached.notes[0] and "bounds" in attached.notes[0]
    assert not any(getattr(row, "kind", 0) == ev.SLOTS for row in attached.records([]))


def _absent(name: str) -> Any:
    raise ImportError(f"No module named {name!r}")


@pytest.mark.skipif(importlib.util.find_spec("drgn") is None, reason="drgn is not installed")
@pytest.mark.skipif(not os.access(kernel_memory.KCORE, os.R_OK), reason="there is no /proc/kcore that can be read")
def test_this_kernels_own_memory_is_read() -> None:
    reader = Reader(kernel_memory.opened())
    assert os.getpid() in reader.mm_ids()
