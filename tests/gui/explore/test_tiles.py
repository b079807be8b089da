"""Where pages lie on a map: each once, every folio a rectangle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 5000), st.sampled_from([0.3, 1.0, 1.7, 4.0]))
def test_every_page_has_one_cell(pages: int, aspect: float) -> None:
    from foliolab.gui.explore.tiles import arrange

    tiles = arrange(pages, aspect)
    inside = tiles.pages_of_cells[tiles.pages_of_cells < pages]
    assert sorted(inside.tolist()) == list(range(pages))
    for page in {0, pages // 2, pages - 1}:
        assert tiles.page_at(*tiles.cell_of(page)) == page
    assert tiles.page_at(-1, 0) == tiles.page_at(tiles.width, 0) == -1


@pytest.mark.parametrize("order", range(10))
def test_every_aligned_folio_is_a_rectangle(order: int) -> None:
    from foliolab.gui.explore.tiles import arrange

    tiles = arrange(4096, 1.5)
    nr = 1 << order
    for first in range(0, 4096, nr):
        x, y, width, height = tiles.box(first, nr)
        assert width * height == nr
        assert sorted(tiles.pages_of_cells[y : y + height, x : x + width].ravel().tolist()) == list(
            range(first, first + nr)
        )
        assert max(width, height) <= 2 * min(width, height)


def test_faces_tell_verdicts_and_truth_apart() -> None:
    from foliolab.framework.explore import cells
    from foliolab.gui.explore.cell_styles import FALSE, STYLES, UNSAFE, styles_of_bits

    judged, true = styles_of_bits(True), styles_of_bits(False)
    wrong = cells.MAPPED | cells.FALSE_SHARED
    assert judged[wrong] == FALSE + 1 and STYLES[true[wrong] - 1].name == "exclusive"
    unsafe = cells.MAPPED | cells.SHARED | cells.UNSAFE
    assert judged[unsafe] == UNSAFE + 1 and STYLES[true[unsafe] - 1].name == "shared"
    assert judged[0] == 1
    assert len({style.hatch for style in STYLES if style.verdict}) == 2, "never colour alone"
    assert np.all(judged >= true), "a verdict weighs more than the truth where dots stand for several cells"


def test_the_lens_keeps_the_point_and_stays_inside() -> None:
    from PySide6.QtCore import QPointF, QRectF

    from foliolab.gui.explore.viewport import Viewport

    viewport = Viewport()
    viewport.cover(64, 32)
    assert viewport.seen.contains(viewport.whole)
    viewport.zoom(4, QPointF(10, 10))
    assert viewport.seen.contains(QPointF(10, 10)) and viewport.seen.width() == pytest.approx(16)
    viewport.pan(1000, 1000)
    assert viewport.seen.right() == pytest.approx(64) and viewport.seen.bottom() == pytest.approx(32)
    viewport.show(0, 0)
    assert viewport.seen.left() == 0 and viewport.seen.top() == 0
    viewport.look(QRectF(20, 8, 4, 4))
    assert viewport.seen.contains(QRectF(20, 8, 4, 4))
    viewport.zoom(0.001)
    assert viewport.seen.contains(viewport.whole)


@pytest.mark.parametrize("pages", [1, 7, 64, 512, 513, 1500, 4096])
def test_smaller_maps_are_of_four_cells_each(pages: int) -> None:
    from foliolab.gui.explore.tiles import arrange

    tiles = arrange(pages, 1.4)
    for level, half in enumerate(tiles.shrunk, 1):
        step, nr = 1 << level, -(-pages // (1 << 2 * level))
        for (y, x), group in np.ndenumerate(half):
            cells = tiles.pages_of_cells[y * step : (y + 1) * step, x * step : (x + 1) * step]
            there = cells[cells < pages]
            assert set((there >> 2 * level).tolist()) <= {int(group)}
            assert (group == nr) == (there.size == 0)


def test_a_dot_is_the_heaviest_face_however_it_is_made() -> None:
    from foliolab.gui.explore.cell_styles import styles_of_bits
    from foliolab.gui.explore.map_cells import MapCells

    shown, pages = MapCells(), 1500
    shown.cover(pages)
    cells = np.random.default_rng(1).integers(0, 256, pages).astype(np.uint8)
    styles = styles_of_bits(True)
    assert shown.show(cells, None) and not shown.show(cells, None)
    alone = [shown.shrunk(level).copy() for level in (1, 2, 3)]
    dots = np.zeros(-(-pages // 4) * 4, np.uint8)
    dots[:pages] = styles[cells]
    assert shown.show(cells, dots.reshape(-1, 4).max(axis=1))
    for level, wanted in enumerate(alone, 1):
        np.testing.assert_array_equal(shown.shrunk(level), wanted)
        grouped = np.zeros(wanted.size * 4**level, np.uint8)
        grouped[:pages] = styles[cells]
        np.testing.assert_array_equal(wanted[:-1], grouped.reshape(-1, 4**level).max(axis=1)[: wanted.size - 1])
