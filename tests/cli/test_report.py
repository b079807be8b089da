"""`foliolab report`: formats of plugins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
FAILS = """
from foliolab.framework.api import Reporter

def render(result, rows):
    {}

REPORTER = Reporter("mine", "what goes wrong", render)
"""


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return Path(shutil.copy(TESTS / "report" / "first.json", tmp_path / "r.json"))


def test_the_format_of_the_documentation(
    foliolab: Callable[..., Any], examples: Any, tmp_path: Path, result: Path
) -> None:
    plugin = examples.write(tmp_path, "my_mail.py")
    done = foliolab("report", result, "--plugin", plugin, "--format", "mail")
    assert (done.code, done.out) == (0, f"written: {tmp_path / 'r.mail'}\n")
    lines = (tmp_path / "r.mail").read_text().splitlines()
    assert lines[0].startswith("Measured with foliolab compare")
    assert any(line.split()[:4] == ["fork", "16", "KiB", "mm-id"] and "%" in line for line in lines)
    assert foliolab("report", result, "--plugin", plugin, "-o", tmp_path / "x.mail").code == 0
    assert (tmp_path / "x.mail").read_text() == (tmp_path / "r.mail").read_text()


def test_it_is_listed(foliolab: Callable[..., Any], examples: Any, tmp_path: Path) -> None:
    done = foliolab("list", "--plugin", examples.write(tmp_path, "my_mail.py"))
    assert "Report formats\n  mail" in done.out and "1 report format" in done.out
    assert "Report formats" not in foliolab("list").out


def test_a_format_that_is_unknown(foliolab: Callable[..., Any], examples: Any, tmp_path: Path, result: Path) -> None:
    done = foliolab("report", result, "--plugin", examples.write(tmp_path, "my_mail.py"), "--format", "odt")
    assert done.code == 2 and "there is no format 'odt'" in done.err
    assert "formats are md, html, csv, png, svg, mail" in done.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("return 1 / 0", "report format mine failed: ZeroDivisionError: division by zero (FILE:5)"),
        ("return 7", "report format mine: render returned a int, not a str"),
    ],
)
def test_a_format_that_fails(foliolab: Callable[..., Any], tmp_path: Path, result: Path, text: str, says: str) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(FAILS.format(text))
    done = foliolab("report", result, "--plugin", plugin, "--format", "mine")
    assert done.code == 4 and says.replace("FILE", str(plugin)) in done.err
    assert not (tmp_path / "r.mine").exists()


def test_a_plugin_that_cannot_be_loaded(foliolab: Callable[..., Any], tmp_path: Path, result: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(FAILS.format("pass").replace('"what goes wrong"', '""'))
    done = foliolab("report", result, "--plugin", plugin, "--format", "mine")
    assert done.code == 4 and "report format 'mine' cannot be used" in done.err and "summary" in done.err
