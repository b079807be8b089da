"""pagemap, kpagecount and kpageflags as arrays: on made-up files, and on this host where it allows that."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import pagemap, probe

if sys.platform != "linux":
    pytest.skip("there is no /proc", allow_module_level=True)

HEAD = np.uint64(1 << pagemap.BIT["COMPOUND_HEAD"])
TAIL = np.uint64(1 << pagemap.BIT["COMPOUND_TAIL"])
PAGES = 2000


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A made-up /proc: page n is mapped n * 7 % 11 times, its flags are n * 13."""
    pfns = np.arange(PAGES, dtype=np.uint64)
    (pfns * 7 % 11).tofile(tmp_path / "kpagecount")
    (pfns * 13).tofile(tmp_path / "kpageflags")
    monkeypatch.setattr(pagemap, "PROC", tmp_path)
    return tmp_path


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-3, PAGES - 1), max_size=60))
def test_any_pfns_in_any_order(proc: Path, pfns: list[int]) -> None:
    assert pagemap.kpagecount(pfns).tolist() == [n * 7 % 11 if n > 0 else 0 for n in pfns]
    assert pagemap.kpageflags(pfns).tolist() == [n * 13 if n > 0 else 0 for n in pfns]


def test_beyond_the_last_page(proc: Path) -> None:
    with pytest.raises(KernelError, match="kpagecount ends at entry 2000"):
        pagemap.kpagecount([PAGES - 1, PAGES])


def test_more_than_a_chunk(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagemap, "CHUNK", 7)
    assert pagemap.kpageflags(np.arange(1, PAGES)).tolist() == [n * 13 for n in range(1, PAGES)]


def test_what_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pagemap, "PROC", tmp_path / "absent")
    with pytest.raises(KernelError, match="absent/kpagecount cannot be opened: No such file") as fault:
        pagemap.kpagecount([1])
    assert "CONFIG_PROC_PAGE_MONITOR" in fault.value.hint
    with pytest.raises(KernelError, match="absent/7/pagemap cannot be opened"):
        pagemap.open_pagemap(7)


def test_the_bits_of_an_entry(tmp_path: Path) -> None:
    entries = [0, 1 << 63 | 5, 1 << 63 | 1 << 56 | 6, 1 << 62 | 9, 1 << 63 | 1 << 55]
    np.array(entries, np.uint64).tofile(tmp_path / "pagemap")
    with (tmp_path / "pagemap").open("rb") as file:
        found = pagemap.pagemap(file.fileno(), 0, len(entries))
        assert pagemap.pagemap(file.fileno(), 2 * pagemap.PAGE_SIZE, 1).pfn.tolist() == [6]
        assert pagemap.pagemap(file.fileno(), 0, 0).pfn.tolist() == []
        with pytest.raises(KernelError, match="pagemap ends at entry 5"):
            pagemap.pagemap(file.fileno(), 0, 6)
    assert found.present.tolist() == [False, True, True, False, True]
    assert found.exclusive.tolist() == [False, False, True, False, False]
    assert found.swapped.tolist() == [False, False, False, True, False]
    assert found.pfn.tolist() == [0, 5, 6, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12), st.randoms())
def test_folios_are_found_as_they_were_laid_out(layout: list[tuple[int, bool]], random: Any) -> None:
    pfns: list[int] = []
    flags: list[np.uint64] = []
    expected = []
    at = 64
    for order, present in layout:
        nr = 1 << order
        at += random.choice([0, nr, 5 * nr])
        at += -at % nr
        if present:
            expected.append((len(pfns), nr, at))
        pfns += range(at, at + nr) if present else [0] * nr
        flags += [HEAD, *[TAIL] * (nr - 1)] if present and order else [np.uint64(0)] * nr
        at += nr
    found = pagemap.folios(pfns, np.array(flags, np.uint64))
    assert list(zip(found.start.tolist(), found.nr_pages.tolist(), found.head.tolist(), strict=True)) == expected
    assert found.whole.all()


def test_a_folio_without_its_head_is_not_whole() -> None:
    found = pagemap.folios([9, 10, 12], np.array([TAIL, TAIL, 0], np.uint64))
    assert found.start.tolist() == [0, 2]
    assert found.nr_pages.tolist() == [2, 1]
    assert found.whole.tolist() == [False, True]


def made(monkeypatch: pytest.MonkeyPatch, flags: list[np.uint64]) -> None:
    monkeypatch.setattr(pagemap, "kpageflags", lambda pfns: np.array(flags, np.uint64))


def test_what_speaks_against_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [HEAD, TAIL, TAIL, TAIL] * 2
    made(monkeypatch, two)
    assert pagemap.off_size(range(8, 16), 2) == []
    assert pagemap.off_size(range(8, 16), 3) == ["folios of 32 KiB were asked for; there are 2 of 16 KiB"]
    assert "do not start" in pagemap.off_size(range(9, 17), 2)[0]
    assert pagemap.off_size([8, 0, 10], 0) == ["1 of 3 pages are not present"]
    made(monkeypatch, [HEAD, TAIL, TAIL, TAIL, np.uint64(0), np.uint64(0)])
    assert pagemap.off_size(range(8, 14), 2) == ["folios of 16 KiB were asked for; there are 2 of 4 KiB"]


def test_a_process_that_is_gone() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    descriptor = pagemap.open_pagemap(child)
    os.close(writer)
    os.waitpid(child, 0)
    with pytest.raises(KernelError, match=r"pagemap (ends|cannot be read)"):
        pagemap.pagemap(descriptor, 0x10000, 4)
    with pytest.raises(KernelError, match=f"{child}/pagemap cannot be opened"):
        pagemap.open_pagemap(child)
    os.close(descriptor)
    os.close(reader)


@pytest.mark.skipif(
    not probe.capability("kpageflags").available, reason=f"kpageflags: {probe.capability('kpageflags').reason}"
)
def test_a_page_of_our_own_on_this_kernel() -> None:
    with probe._private(8 * mmap.PAGESIZE) as (memory, base):
        memory[0] = memory[3 * mmap.PAGESIZE] = 1
        descriptor = pagemap.open_pagemap()
        found = pagemap.pagemap(descriptor, base, 8)
        os.close(descriptor)
        assert found.present.tolist() == [True, False, False, True, False, False, False, False]
        assert found.exclusive[[0, 3]].all()
        assert pagemap.kpagecount(found.pfn).tolist() == [1, 0, 0, 1, 0, 0, 0, 0]
        assert pagemap.has(pagemap.kpageflags(found.pfn), "ANON").tolist() == found.present.tolist()
