"""Words that all reports share."""

from __future__ import annotations

import pytest

from foliolab.framework.report.words import share_text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "-"), (0, 7, "0 %"), (1, 3, "33.3 %"), (7, 7, "100.0 %"), (1, 2000, "0.05 %"), (1, 10**6, "0.0001 %"),
        (1, 10**7, "under 0.0001 %"),
    ],
)  # fmt: skip
def test_a_share_never_becomes_nothing_and_has_no_exponent(part: int, whole: int, text: str) -> None:
    assert share_text(part, whole) == text
