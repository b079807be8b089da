"""Text from outside means nothing but itself, wherever it is shown."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework import escaping
from foliolab.framework.report.words import csv_text

FORMATS = (0x200E, 0x202A, 0x202E, 0x2028, 0x2066, 0xFEFF)
CONTROLS = [chr(c) for c in (*range(10), *range(11, 32), *range(127, 160), *FORMATS)]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_no_control_character_is_left(control: str) -> None:
    shown = escaping.visible(f"a{control}b")
    assert control not in shown and shown[0] == "a" and shown[-1] == "b"


@given(st.text())
def test_what_is_visible_has_no_control_characters(text: str) -> None:
    for shown in (escaping.visible(text), escaping.csv_cell(text)):
        assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
        assert escaping.visible(shown) == shown


def test_it_is_shown_as_python_writes_it() -> None:
    text = "\x1b[2J \u202e \U000e0001 caf\udce9 é ✓ a\u00a0b"
    assert escaping.visible(text) == "\\x1b[2J \\u202e \\U000e0001 caf\\xe9 é ✓ a\u00a0b"


def test_markdown_means_nothing_but_the_text() -> None:
    hostile = "<img src=x> ![t](http://h/p.png) `a` | **b** &lt;\n# c"
    shown = escaping.markdown(hostile)
    assert shown == "&lt;img src=x> !\\[t\\](http://h/p.png) \\`a\\` \\| \\*\\*b\\*\\* &amp;lt; # c"
    assert escaping.markdown("# no heading") == "\\# no heading"
    assert escaping.markdown("mm-id: 2 faster, 1 of 3 too_noisy (−3.1 … +0.2)") == (
        "mm-id: 2 faster, 1 of 3 too_noisy (−3.1 … +0.2)"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("foliolab compare", "`foliolab compare`"),
        ("a\n\x1b[2J | *b*", "`a \\x1b[2J | *b*`"),
        ("a `b` <c>", "a \\`b\\` &lt;c>"),
    ],
)
def test_code_ends_where_it_should(text: str, shown: str) -> None:
    assert escaping.markdown_code(text) == shown


@pytest.mark.parametrize(
    "text", ['=HYPERLINK("http://e/")', "+1+1", "-cmd|'/c calc'!A0", "@SUM(1)", "\t=1", "\r=1", "＝1"]
)
def test_a_formula_is_text(text: str) -> None:
    table = csv_text(["policy", text], [[text, -1.5, -3, None]])
    heading, row = csv.reader(io.StringIO(table))
    assert heading[1].startswith("'") and row[0].startswith("'") and row[1:] == ["-1.5", "-3", ""]


@pytest.mark.parametrize("text", ["-1.5", "+3", "-2e-05", "-inf", ".5", "mm-id", "", "–"])
def test_a_number_stays_one(text: str) -> None:
    assert escaping.csv_cell(text) == text
