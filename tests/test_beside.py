"""Benchmarks on kernels beside a comparison: three formats, the cells that they stand beside, and each output."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from foliolab.framework.contract.models import Models
from foliolab.framework.errors import ResultFileError, UsageError
from foliolab.framework.host import HostInfo
from foliolab.framework.report import formats
from foliolab.framework.report.comparison import csvfile, terminal
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.results import beside, merge
from foliolab.framework.results.benchmark_output import MODES, PTE_MAPPED, VM_SCALABILITY, WILL_IT_SCALE, read
from foliolab.framework.results.beside_columns import absent
from foliolab.framework.results.comparison import compare
from foliolab.framework.results.result import Cell, Config, Result

MODELS = {
    "page-mapcount": Models((6, 10), (6, 15)),
    "mm-id": Models((6, 15), None, ("CONFIG_MM_ID=y",)),
    "no-page-mapcount": Models((6, 15), None, ("CONFIG_NO_PAGE_MAPCOUNT=y",)),
}
TWO_KERNELS = """\
Linux xeon 6.14.0-rc1 #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux
# size=64K
+ ./pte-mapped-folio-benchmarks munmap 5
Average: 0.005000
Average: 0.005100
Average: 0.004900
Linux xeon 6.15.0 #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux
# policy=mm-id
Average: 0.005500
Average: 0.005610
Average: 0.005390
"""
ANON_COW = """\
case-anon-cow-seq
1073741824 bytes / 1000000 usecs = 1048576 KB/s
1073741824 bytes / 500000 usecs = 2097152 KB/s
read again 1073741824 bytes / 500000 usecs = 2097152 KB/s
812 usecs to free memory
case-anon-cow-seq
1073741824 bytes / 1000000 usecs = 1048576 KB/s
1073741824 bytes / 1000000 usecs = 1048576 KB/s
"""
TABLE = """\
tasks,processes,processes_idle,threads,threads_idle,linear
0,0,100,0,100,0
1,290482,50.1,271234,50.0,290482
2,500000,0.0,-1,0.0,580964
"""
RUN = """\
$ ./page_fault1_processes -t 2 -s 1
testcase:Anonymous memory page fault
warmup
min:1 max:2 total:3
measurement
min:200000 max:300000 total:500000
average:500000
"""


def written(folder: Path, text: str, name: str = "out.txt") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_what_each_benchmark_prints(tmp_path: Path) -> None:
    first, *_, last = read(written(tmp_path, TWO_KERNELS))
    assert (first.tool, first.test, first.size_kib, first.unit) == (PTE_MAPPED, "munmap", 64, "ns a page")
    assert first.value == pytest.approx(5e6 / (1 << 18))  # 1 GiB
    assert (first.host, first.kernel, first.policy) == ("xeon", "6.14.0-rc1", "")
    assert (last.host, last.kernel, last.policy, last.size_kib) == ("xeon", "6.15.0", "mm-id", 64)
    half = read(written(tmp_path, "Average: 0.1") + ":kernel=6.14,size=4K,test=fork,memory=512M")
    assert half[0].value == pytest.approx(1e8 / (1 << 17))
    rates = read(written(tmp_path, ANON_COW) + ":kernel=6.14,size=2M")
    assert [(one.tool, one.test, one.tasks, one.value, one.unit) for one in rates] == [
        (VM_SCALABILITY, "anon-cow-seq", 2, 3 << 20, "KB/s"),
        (VM_SCALABILITY, "anon-cow-seq", 2, 2 << 20, "KB/s"),
    ]
    table = read(written(tmp_path, TABLE, "page_fault1.csv") + ":kernel=6.14,size=2048K")
    assert [(one.test, one.tasks, one.value) for one in table] == [
        ("page_fault1_processes", 1, 290482), ("page_fault1_threads", 1, 271234), ("page_fault1_processes", 2, 500000),
    ]  # fmt: skip
    by_seconds = RUN.replace("average:500000\n", "")
    for text in (RUN, by_seconds):
        (only,) = read(written(tmp_path, text) + ":kernel=6.14,size=64K")
        assert (only.tool, only.test, only.tasks, only.value) == (WILL_IT_SCALE, "page_fault1_processes", 2, 500000)


@pytest.mark.parametrize(
    ("text", "behind", "error", "words"),
    [
        ("Average: 0.1", "", UsageError, "does not say the kernel"),
        ("Average: 0.1", ":kernel=6.14", UsageError, "does not say the test"),
        ("Average: 0.1", ":kernel=6.14,test=fork", UsageError, "does not say the folio size"),
        ("Average: 0.1", ":kernel=6.14,test=fork,size=3.5", UsageError, "no folio size"),
        ("Average: 0.0", ":kernel=6.14,test=fork,size=4K", ResultFileError, "measured 0"),
        ("Average: 0.1", ":kernle=6.14", UsageError, "unknown key 'kernle'"),
        ("# kernel=6.14 rest", "", UsageError, "no KEY=VALUE"),
        ("average:5", ":kernel=6.14,test=brk1_processes,size=4K", UsageError, "number of tasks"),
        ("munmap(0x1000, 4096) = 0", "", ResultFileError, "no output of"),
    ],
)
def test_what_is_not_said_is_asked_for(
    tmp_path: Path, text: str, behind: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        read(written(tmp_path, text) + behind)


def test_every_test_has_a_place_or_a_reason() -> None:
    for mode in MODES:
        where = beside.place(PTE_MAPPED, mode)
        assert where.workload == ("" if mode == "munmap-swapped-forked" else mode)
    assert beside.place(WILL_IT_SCALE, "page_fault1_processes", 1).workload == "contention-1"
    assert beside.place(WILL_IT_SCALE, "page_fault1_processes", 8).workload == "contention-disjoint-{tasks}"
    assert beside.place(VM_SCALABILITY, "anon-cow-rand").workload == "anon-cow-rand"
    for tool, test in (
        (WILL_IT_SCALE, "page_fault1_threads"), (WILL_IT_SCALE, "brk1_processes"), (VM_SCALABILITY, "anon-cow-seq-mt"),
        (VM_SCALABILITY, "fork"), (PTE_MAPPED, "mine"),
    ):  # fmt: skip
        where = beside.place(tool, test, 1)
        assert not where.workload and where.why


def test_a_kernel_stands_for_the_policy_that_models_it() -> None:
    assert beside.policy_of("6.14.0-rc1", MODELS) == "page-mapcount"
    with pytest.raises(UsageError, match="decides between mm-id and no-page-mapcount"):
        beside.policy_of("6.18.1", MODELS)
    with pytest.raises(UsageError, match="no policy models it"):
        beside.policy_of("5.4", MODELS)


def result(cells: list[beside.BesideCell]) -> Result:
    config = Config(
        policies=["page-mapcount", "mm-id"], policy_parameters={"page-mapcount": {}, "mm-id": {}},
        baseline="page-mapcount", workloads=["munmap", "anon-cow-seq"], sizes=[64, 2048], memory=1 << 20, repeats=5,
        seed=1, quick=True,
    )  # fmt: skip
    own = [
        Cell(workload=workload, size_kib=size, policy=policy, samples=[10.0, 10.1, 10.2, 10.3, 10.4])
        for workload in config.workloads
        for size in config.sizes
        for policy in config.policies
    ]
    return Result(
        complete=True, command="", started="", finished="", kernel="", git="", versions={}, config=config, cells=own,
        machine=HostInfo(cpu="", cores=2, memory_bytes=0, os=""), beside=cells,
    )  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Result:
    runs = read(written(tmp_path, TWO_KERNELS)) + read(written(tmp_path, ANON_COW) + ":kernel=6.14,size=2M,host=arm")
    return result(beside.cells(runs, MODELS)[0])


def test_two_kernels_of_a_host_make_a_change_and_one_stays_what_it_is(made: Result) -> None:
    rows = {(row.workload, row.size_kib, row.policy): row for row in compare(made)}
    (change,) = rows["munmap", 64, "mm-id"].imported
    assert (change.meaning, change.percent, change.machine) == ("time", 10.0, "xeon, Linux 6.15.0")
    assert change.spread == pytest.approx(110 * (2 * 0.02**2) ** 0.5, rel=1e-6)  # 2 % of each, on 110 %
    assert "3 runs, against 3 of xeon, Linux 6.14.0-rc1" in change.note
    (own,) = rows["munmap", 64, "page-mapcount"].imported
    assert (own.meaning, own.unit) == ("absolute", "ns a page") and own.percent == pytest.approx(5e6 / (1 << 18))
    (rate,) = rows["anon-cow-seq", 2048, "page-mapcount"].imported
    assert (rate.percent, rate.unit) == (2.5 * (1 << 20), "KB/s") and rate.spread
    assert not rows["munmap", 2048, "mm-id"].imported and not rows["munmap", 64, "mm-id"].published
    turned = {(row.workload, row.size_kib, row.policy): row for row in compare(made, "mm-id")}
    assert turned["munmap", 64, "page-mapcount"].imported[0].percent == pytest.approx(-9.1)


def test_every_output_shows_them(made: Result, tmp_path: Path) -> None:
    rows = compare(made)
    page = StringIO()
    terminal.render(made, rows, TerminalPage(page))
    assert "imported: vm-scalability; arm, Linux 6.14; anon-cow-seq, 2 tasks, 2 runs of KB/s" in page.getvalue()
    assert "+10 % ± 3.1" in page.getvalue() and "2,621,440 KB/s ± 741,455" in page.getvalue()
    texts = {}
    for form in ("md", "html"):
        texts[form] = str(formats.comparison_text(made, rows, [], form))
    texts["csv"] = csvfile.text(rows)
    for form in ("md", "html", "csv"):
        assert "xeon, Linux 6.15.0" in texts[form] and "vm-scalability" in texts[form], form
    lines = [line.split(",") for line in texts["csv"].replace('"', "").splitlines()]
    assert any("10" in line for line in lines[1:])
    made.save(tmp_path / "r.json")
    assert Result.load(tmp_path / "r.json").beside == made.beside


def test_what_stands_beside_nothing_is_named(tmp_path: Path) -> None:
    text = TWO_KERNELS + "# size=128K\n+ ./pte-mapped-folio-benchmarks munmap-swapped-forked\nAverage: 0.1\n"
    more = "# policy=exact test=fork\nAverage: 0.1\n"
    found, notes = beside.cells(read(written(tmp_path, text + more)), MODELS)
    assert notes == [
        f"{PTE_MAPPED}'s munmap-swapped-forked stands beside no cell: no workload unmaps memory that is swapped out "
        "and shared by a fork."
    ]
    assert absent(found, result([]).config) == [
        f"{PTE_MAPPED}'s fork on xeon, Linux 6.15.0 stands beside no cell of this comparison: it has no policy exact "
        "and no workload fork and no folios of 128 KiB."
    ]


def test_results_that_are_merged_keep_them_once(made: Result) -> None:
    from msgspec.structs import replace

    own = [replace(made, cells=made.cells[:4]), replace(made, cells=made.cells[4:])]
    assert merge.merge(own).beside == made.beside


def test_a_damaged_cell_is_refused(made: Result, tmp_path: Path) -> None:
    made.save(tmp_path / "r.json")
    text = (tmp_path / "r.json").read_text()
    (tmp_path / "r.json").write_text(text.replace('"KB/s",', '"KB/s", "more": 1,', 1))
    with pytest.raises(ResultFileError):
        Result.load(tmp_path / "r.json")
