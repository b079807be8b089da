"""Counts of kernels without QEMU: symbols, the plugin's text, result files, the table, and what is refused."""

from __future__ import annotations

import csv
import ctypes
import io
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from foliolab.framework.csource import ccompiler
from foliolab.framework.errors import FolioLabError, KernelError, NothingMeasured, ResultFileError, UsageError
from foliolab.framework.host import HostInfo
from foliolab.framework.kernel import guestbench
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.counting import cells, machine
from foliolab.framework.kernel.counting.counts import Counts
from foliolab.framework.kernel.counting.difference import BATCH, ELSEWHERE, MODELLED, difference, explained
from foliolab.framework.kernel.counting.machine import EXCEPTION, INTERRUPT, CountingGuest, Symbols
from foliolab.framework.kernel.counting.result import ZONE_LOCKS, Cell, Config, CountedKernel, CountsResult
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.guest.qemu import Qemu
from foliolab.framework.kernel.images.store import Image
from foliolab.framework.kernel.running import Running
from foliolab.framework.report import formats, kernelcounts, result_files
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.results.difference import difference as differences

LISTED = """\
0000000000000000 A absolute
ffffffff81000000 T second_name
ffffffff81000000 T name
ffffffff81000040 t unmap.isra.0
ffffffff81000050 T __pfx_unmap
ffffffff81000060 D data
ffffffff81000080 t asm_exc_page_fault
ffffffff810000c0 T irq_entries_start
ffffffff810000e0 T asm_sysvec_apic_timer_interrupt
ffffffff81000100 T last	[module]
"""


# -- symbols and the plugin ----------------------------------------------------------------------------
def test_an_address_is_in_the_function_before_it() -> None:
    symbols = Symbols(LISTED)
    found = [symbols.function(0xFFFFFFFF81000000 + at) for at in (0, 0x3F, 0x40, 0x7F, 0x1000)]
    assert found == ["name", "name", "unmap", "unmap", "last"]
    assert symbols.function(0x1000) == "?"


def test_interrupts_and_exceptions_are_told_to_the_plugin() -> None:
    entries = dict(struct.iter_unpack("<QQ", Symbols(LISTED).entries()))
    stubs = {0xFFFFFFFF810000C0 + at: INTERRUPT for at in (0, 8, 16, 24)}
    assert entries == {0xFFFFFFFF81000080: EXCEPTION, 0xFFFFFFFF810000E0: INTERRUPT, **stubs}


@pytest.mark.skipif(not ccompiler.compiler(), reason="there is no C compiler")
@pytest.mark.parametrize("version", [(7, 2, 22), (9, 0), (10, 1)])
def test_the_plugin_is_built_for_each_interface_of_qemu(
    version: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path))
    library = machine.plugin(version)
    assert library.startswith(b"\x7fELF") and b"qemu_plugin_install" in library


@pytest.mark.skipif(not ccompiler.compiler(), reason="there is no C compiler")
def test_lines_come_from_where_they_are(tmp_path: Path) -> None:
    """Walks of 64 KiB, which L1 has not room for, of 16 KiB, and from line to line in other pages."""
    text, library = tmp_path / "walk.c", tmp_path / "walk.so"
    text.write_text(
        f"""#include "{machine.CACHES}"
        void walk(uint64_t first, uint64_t step, int lines, int *found)
        {{
            for (int i = 0; i < lines; i++)
                found[origin_of(first + step * i)]++;
        }}
        void empty(void)
        {{
            memset(l1_lines, 0, sizeof(l1_lines));
            memset(l2_lines, 0, sizeof(l2_lines));
        }}
        """
    )
    subprocess.run([str(ccompiler.compiler()), "-shared", "-fPIC", "-o", library, text], check=True)
    walks = ctypes.CDLL(str(library))

    def walk(step: int, lines: int) -> list[int]:
        found = (ctypes.c_int * 3)()
        walks.walk(ctypes.c_uint64(1 << 40), ctypes.c_uint64(step), lines, found)
        return list(found)

    walks.empty()
    assert walk(64, 1024) == [0, 1024 - 32, 32], "of 64 lines of a page, the streamer has not brought two"
    assert walk(64, 1024) == [0, 1024, 0], "L2 has them"
    assert walk(64, 256) == [0, 256, 0] and walk(64, 256) == [256, 0, 0], "L1 has room for half as much"
    assert walk(8, 8) == [8, 0, 0], "of one line"
    walks.empty()
    assert walk(4096 + 64, 100) == [0, 0, 100]
    assert walk(1 << 16, 40)[2] == 39, "one line is left in L1 from the walk before"


def test_what_is_missing_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"QEMU 3\.1 has no plugins") as caught:
        machine.plugin((3, 1))
    assert "install QEMU 4.2 or newer" in caught.value.hint
    monkeypatch.setattr(ccompiler, "COMPILERS", ("nobody",))
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path))
    with pytest.raises(KernelError, match="there is no C compiler to build the plugin that counts") as caught:
        machine.plugin((7, 2))
    assert "apt install gcc" in caught.value.hint


@pytest.mark.skipif(not ccompiler.compiler() or sys.platform != "linux", reason="there is no C compiler, or no memfd")
def test_a_qemu_without_plugins_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "qemu"
    said = "QEMU emulator version 8.0.1"
    refusal = "qemu: -plugin: invalid option"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{said}" && exit\necho "{refusal}"; exit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(machine, "qemu", lambda: Qemu(str(program)))
    image = tmp_path / "vmlinuz"
    image.touch()
    with pytest.raises(KernelError, match="was built without plugins") as caught, CountingGuest(Image("7.3", image)):
        pass
    assert "apt install qemu-system-x86" in caught.value.hint


def test_programs_of_counts_name_only_known_workloads() -> None:
    assert set(cells.BARE) < set(cells.WORKLOADS)


# -- the result ----------------------------------------------------------------------------------------
HOST = HostInfo(cpu="a CPU", cores=2, memory_bytes=1 << 33, os="an OS")


def cell(**changes: object) -> Cell:
    fields: dict[str, object] = {
        "kernel": "7.3", "workload": "munmap", "size_kib": 64, "pages": 512, "exact": True, "plays": 3,
        "functions": {"folio_remove_rmap_ptes": Counts(5120, 576, 1024, 512), "_raw_spin_lock": Counts(2000, 612)},
        "bare": {"_raw_spin_lock": Counts(1000, 100)}, "model": {"atomics": 1.0},
    }  # fmt: skip
    return Cell(**{**fields, **changes})  # type: ignore[arg-type]


def result(*made: Cell, lost: str = "") -> CountsResult:
    return CountsResult(
        complete=True, command="", started="", finished="", machine=HOST,
        versions={}, kernel="", git="",
        config=Config(kernels=["7.3"], workloads=["munmap"], sizes=[16, 64], memory=2 << 20),
        kernels=[CountedKernel(name="7.3", policy="mm-id", qemu="7.2", lost=lost)], cells=list(made),
    )  # fmt: skip


def test_counts_per_page_are_without_what_the_bare_call_has() -> None:
    found = difference(cell())
    assert found.inside == {"folio_remove_rmap_ptes": 1.125}
    assert found.outside == {"spinlocks": {"_raw_spin_lock": 1.0}} and not found.unknown
    assert (found.kernel, found.model, found.unexplained) == (2.125, 1.0, 0.125)
    assert not found.explained and difference(cell(model={"atomics": 1.125})).explained
    assert difference(cell(model={})).unexplained is None


def test_a_copy_is_explained_by_rules() -> None:
    """A copied page enters the LRU through a batch, whose reference is dropped where the model has other references."""
    functions = {"do_wp_page": 3.0, "lru_add": 1.0, "folios_put_refs": 1.25, "folio_batch_move_lru": 2.0}
    found = explained(functions, {"atomics": 5.5, ZONE_LOCKS: 1.25})
    assert found.inside == {"do_wp_page": 3.0, "lru_add": 1.0, "folios_put_refs": 0.25}
    assert found.outside == {BATCH: {"folio_batch_move_lru": 2.0, "folios_put_refs": 1.0}}
    assert found.model == 4.25 and found.unexplained == 0.0 and found.explained
    freed = explained({"folios_put_refs": 1.0, "lru_gen_del_folio": 1.0}, {"atomics": 2.0, ZONE_LOCKS: 1.0})
    assert freed.inside == {"folios_put_refs": 1.0} and freed.explained


def test_a_function_that_no_rule_names_is_not_explained() -> None:
    found = explained({"folio_put": 1.0, "novel_lock": 0.5, "rare_lock": 0.004}, {"atomics": 1.0})
    assert found.unknown == {"novel_lock": 0.5} and not found.explained
    assert not MODELLED & frozenset().union(*ELSEWHERE.values()), "a function is in one table"


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    one = result(cell(), cell(size_kib=16, status="skipped", reason="no such folios", functions={}, bare={}))
    one.save(tmp_path / "counts.json")
    assert CountsResult.load(tmp_path / "counts.json") == one
    assert one.lost == [] and one.figures is not None
    assert one.figures.values == {("munmap", "64", "7.3"): 2.125}


@pytest.mark.parametrize(
    ("written", "instead", "why"),
    [
        ('"locked":576', '"locked":5760', "more locked instructions than instructions"),
        ('"locked":576', '"locked":-1', "locked"),
        ('"size_kib":64', '"size_kib":128', "not in the request"),
        ('"pages":512', '"pages":0', "no pages"),
        ('"status":"measured"', '"status":"skipped"', "skipped, with 2 functions"),
        ('"name":"7.3"', '"name":"6.12"', "was not asked for"),
        ('"kind":"kernel-counts"', '"kind":"compare"', "kind"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, written: str, instead: str, why: str) -> None:
    path = tmp_path / "counts.json"
    result(cell()).save(path)
    text = msgspec.json.encode(msgspec.json.decode(path.read_bytes())).decode()
    assert written in text
    path.write_text(text.replace(written, instead))
    with pytest.raises(ResultFileError, match=why):
        CountsResult.load(path)


# -- the table -----------------------------------------------------------------------------------------
def test_the_table_names_the_functions_that_make_the_difference() -> None:
    out = io.StringIO()
    kernelcounts.render(result(cell(exact=False)), TerminalPage(out), functions=True)
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert ["~64", "KiB", "12.0", "2.0", "1.0", "2.125", "1.125", "1.000"] in rows
    assert ["64", "KiB:", "elsewhere", "spinlocks", "1.000", "(_raw_spin_lock", "1.000)"] in rows
    assert ["64", "KiB:", "not", "explained:", "modelled", "functions", "folio_remove_rmap_ptes", "1.125"] in rows
    assert ["folio_remove_rmap_ptes", "10.00", "1.125"] in rows


def test_kernels_are_compared_with_the_first() -> None:
    one = result(cell())
    fewer = cell(kernel="No-Mapcount", functions={"folio_remove_rmap_ptes": Counts(3072, 272)}, bare={})
    both = msgspec.structs.replace(
        one, cells=[*one.cells, fewer], kernels=[*one.kernels, CountedKernel(name="No-Mapcount")],
        config=msgspec.structs.replace(one.config, kernels=["7.3", "No-Mapcount"]),
    )  # fmt: skip
    out = io.StringIO()
    kernelcounts.render(both, TerminalPage(out))
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert ["munmap", "64", "KiB", "−49.8", "%", "−75.0", "%"] in rows


def test_counts_are_reported_and_compared_as_other_results_are(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    one = result(cell(), cell(size_kib=16, status="failed", reason="QEMU ended", functions={}, bare={}))
    one.save(path)
    held = result_files.load(path)
    assert isinstance(held, CountsResult) and result_files.kind_of(path) == "kernel-counts"
    text = formats.study_text(held, "md")
    assert "| 64 KiB | 12.0 | 2.0 | 1.0 | 2.125 | 1.125 | 1.000 |" in text and "16 KiB: failed: QEMU ended" in text
    rows = [*csv.DictReader(io.StringIO(formats.study_text(held, "csv")))]
    assert [row["function"] for row in rows] == ["", "folio_remove_rmap_ptes", "_raw_spin_lock", ""]
    assert [row["locked"] for row in rows] == ["2.125", "1.125", "1", ""]
    assert rows[0]["model_atomics"] == "1" and rows[3]["reason"] == "QEMU ended"
    assert "_raw_spin_lock 1.000" in formats.study_text(held, "html")
    with pytest.raises(UsageError, match="no picture of a result of foliolab kernel count"):
        formats.study_text(held, "svg")
    with pytest.raises(ResultFileError, match="says nothing of policies"):
        result_files.load_of_policies(path)
    fewer = result(cell(functions={"folio_remove_rmap_ptes": Counts(5120, 512)}, bare={}))
    assert [(one.first, one.second, one.word) for one in differences(held, fewer).cases] == [(2.125, 1.0, "lower")]


def test_what_was_not_counted_is_said() -> None:
    kernelcounts.check(result(cell(), cell(size_kib=16)))
    with pytest.raises(FolioLabError, match="1 of the counts are missing") as caught:
        kernelcounts.check(result(cell()))
    assert "7.3, munmap, 16 KiB: the run did not get to it" in caught.value.hint
    with pytest.raises(NothingMeasured, match="nothing was counted") as none:
        kernelcounts.check(result(lost="QEMU ended"))
    assert "QEMU ended" in none.value.hint


# -- times of guests -----------------------------------------------------------------------------------
def test_what_the_bare_call_takes_is_subtracted(monkeypatch: pytest.MonkeyPatch) -> None:
    request = guestbench.Request([], ["munmap"], [64], 2 << 20, 1, 1)
    run = guestbench._Run(request, lambda *news: None)
    key = ("munmap", 64, "7.3")
    run.guests["7.3"] = Guest(Image("7.3", Path("none")))  # not booted
    taken = {True: 1000, False: 6120}
    monkeypatch.setattr(run, "_play", lambda guest, benchmark, kib, bare=False: taken[bare])
    run.cases[key] = guestbench._Case()
    run._measure(key, {})
    assert run.cases[key] == guestbench._Case([10.0])
    taken[False] = 900
    run._measure(key, {})
    assert not run.cases[key].samples and "use more --memory" in run.cases[key].reason


def test_a_guest_that_is_lost_costs_its_own_measurements_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """One kernel does not boot, one is killed in the second round, and one is measured."""

    @dataclass
    class Booted:
        image: Image
        kernel: Running = field(default_factory=lambda: Running("7.3.4", {}))
        accelerator: str = "kvm"

        def __enter__(self) -> Booted:
            if self.image.name == "dead":
                raise Gone("kernel dead does not boot", "")
            return self

        def __exit__(self, *error: object) -> None:
            pass

    plays: list[str] = []

    def play(run: guestbench._Run, guest: Booted, benchmark: str, kib: int, bare: bool = False) -> int:
        plays.append(guest.image.name)
        if guest.image.name == "dies" and plays.count("dies") > 4:
            raise Gone("kernel dies has ended: QEMU was killed", "")
        return 1 << 20

    monkeypatch.setattr(guestbench, "require_kvm", lambda request: None)
    monkeypatch.setattr(guestbench, "agent", lambda: b"")
    monkeypatch.setattr(guestbench, "Guest", Booted)
    monkeypatch.setattr(cells, "quiet", lambda guest: None)
    monkeypatch.setattr(cells, "unfit", lambda guest, benchmark, kib: "")
    monkeypatch.setattr(guestbench._Run, "_play", play)
    images = [Image(name, Path("vmlinuz")) for name in ("lives", "dead", "dies")]
    found = guestbench.bench(guestbench.Request(images, ["cow-byte"], [16, 64], 2 << 20, 3, 1), lambda *news: None)
    assert {cell.policy: len(cell.samples) for cell in found.cells} == {"lives": 3, "dead": 0, "dies": 0}
    assert {cell.reason for cell in found.cells if not cell.samples} == {
        "kernel dead does not boot", "kernel dies has ended: QEMU was killed",
    }  # fmt: skip
    assert found.complete and len(found.failures) == 4
    assert any("lives and dead differ in" in note for note in found.notes)
