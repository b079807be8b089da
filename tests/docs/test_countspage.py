"""The pages with counts of kernels and with predictions are made from what ships, which says what they claim."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from foliolab.framework.costmodel.kernels import stored
from foliolab.framework.kernel.counting.difference import explained
from foliolab.framework.plugins.registry import load

countspage = pytest.importorskip("foliolab_docs.countspage", reason="the extra `docs` is not installed")
predictedpage = pytest.importorskip("foliolab_docs.predictedpage", reason="the extra `docs` is not installed")
SIZES = [4, 16, 32, 64, 128, 256, 512, 1024, 2048]
ANYWHERE = ("munmap", "dontneed", "fork", "cow-byte", "reuse-byte", "child-reuse-byte")


def test_all_sizes_of_all_kernels_are_counted_and_explained() -> None:
    counted = stored()
    assert {one.policy for one in counted.kernels} == {"page-mapcount", "mm-id", "no-page-mapcount"}
    for kernel in counted.kernels:
        cells = {(cell.workload, cell.size_kib): cell for cell in counted.cells if cell.kernel == kernel.name}
        assert set(cells) == {(name, size) for name in ANYWHERE for size in SIZES} | {("remap", 2048)}
        assert all(explained(cell.locked, cell.model).explained for cell in cells.values()), kernel.name


def test_a_cell_that_no_rule_explains_is_listed() -> None:
    counted = stored()
    first, *others = counted.cells
    page = "\n".join(countspage.part(replace(counted, cells=[replace(first, model={"atomics": 99.0}), *others])))
    cells = len(counted.cells)
    assert f"{cells - 1} of {cells} cells are explained" in page and "at 4 KiB: not explained: `" in page
    assert f"{cells} of {cells} cells are explained" in "\n".join(countspage.part())


def test_each_published_cell_has_a_row_and_those_outside_an_explanation() -> None:
    lines = list(predictedpage.part(load()))
    rows = [
        line.split(" | ") for line in lines if line.startswith(("| munmap", "| fork", "| cow-byte", "| reuse-byte"))
    ]
    assert len(rows) == 40 and len({tuple(row[:3]) for row in rows}) == 40
    outside = [row for row in rows if "outside" in row[6]]
    (whole,) = [line for line in lines if line.startswith("| all |")]
    assert f"| {40 - len(outside)} of 40 |" in whole
    assert all("cycles for each of the" in row[7] or "no cost of any one term" in row[7] for row in outside)
    assert all("cycles a page that are no term" in row[7] for row in outside)
    ends = [[float(end.replace("−", "-")) for end in row[4].split(" … ")] for row in rows]
    wide = [row for row, (low, high) in zip(rows, ends, strict=True) if high - low > 8.1]
    assert wide and all("the range of the cost of" in row[7] and "alone makes" in row[7] for row in wide)
    assert all("foliolab compare --cpu xeon-4210r" in line for line in lines if line.startswith("foliolab"))
