"""Where pages lie on a map: each once, every folio a rectangle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 5000), st.sampled_from([0.3, 1.0, 1.7, 4.0]))
def test_every_page_has_one_cell(pages: int, aspect: float) -> None:
    from foliolab.gui.explore.tiles import tiles

    place = tiles(pages, aspect)
    inside = place.place[place.place < pages]
    assert sorted(inside.tolist()) == list(range(pages))
    for page in {0, pages // 2, pages - 1}:
        assert place.at(*place.of(page)) == page
    assert place.at(-1, 0) == place.at(place.width, 0) == -1


@pytest.mark.parametrize("order", range(10))
def test_every_aligned_folio_is_a_rectangle(order: int) -> None:
    from foliolab.gui.explore.tiles import tiles

    place = tiles(4096, 1.5)
    nr = 1 << order
    for first in range(0, 4096, nr):
        x, y, width, height = place.box(first, nr)
        assert width * height == nr
        assert sorted(place.place[y : y + height, x : x + width].ravel().tolist()) == list(range(first, first + nr))
        assert max(width, height) <= 2 * min(width, height)


def test_faces_tell_verdicts_and_truth_apart() -> None:
    from foliolab.framework.explore import cells
    from foliolab.gui.explore.faces import FACES, FALSE, UNSAFE, faces_of_bits

    judged, true = faces_of_bits(True), faces_of_bits(False)
    wrong = cells.MAPPED | cells.FALSE_SHARED
    assert judged[wrong] == FALSE + 1 and FACES[true[wrong] - 1].name == "exclusive"
    unsafe = cells.MAPPED | cells.SHARED | cells.UNSAFE
    assert judged[unsafe] == UNSAFE + 1 and FACES[true[unsafe] - 1].name == "shared"
    assert judged[0] == 1
    assert len({face.hatch for face in FACES if face.verdict}) == 2, "never colour alone"
    assert np.all(judged >= true), "a verdict weighs more than the truth where dots stand for several cells"


def test_the_lens_keeps_the_point_and_stays_inside() -> None:
    from PySide6.QtCore import QPointF, QRectF

    from foliolab.gui.explore.lens import Lens

    lens = Lens()
    lens.cover(64, 32)
    assert lens.fits
    lens.zoom(4, QPointF(10, 10))
    assert lens.seen.contains(QPointF(10, 10)) and lens.seen.width() == pytest.approx(16)
    lens.pan(1000, 1000)
    assert lens.seen.right() == pytest.approx(64) and lens.seen.bottom() == pytest.approx(32)
    lens.show(0, 0)
    assert lens.seen.left() == 0 and lens.seen.top() == 0
    lens.look(QRectF(20, 8, 4, 4))
    assert lens.seen.contains(QRectF(20, 8, 4, 4))
    lens.zoom(0.001)
    assert lens.fits
