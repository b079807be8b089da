"""What the upper limits in pyproject.toml are for. A release beyond one breaks a test here, or one that it names."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import typer

from foliolab.framework.cli import application

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


def test_help_says_what_an_argument_is() -> None:
    """click 8.5 and typer below 0.25 together lose the help of arguments."""
    root = typer.main.get_command(application())
    show = root.get_command(typer.Context(root), "show")  # type: ignore[attr-defined]
    assert "FILE.py::NAME" in show.get_help(typer.Context(show))


@pytest.mark.host
def test_tests_of_the_host_are_one_group(request: pytest.FixtureRequest) -> None:
    """pytest 9.2 loses the groups of pytest-xdist 3.8, and such tests then disturb each other."""
    grouped = getattr(request.config.option, "loadgroup", False)  # set in xdist's workers only
    assert request.node.nodeid.endswith("@host") == grouped


def test_every_ceiling_has_its_reason() -> None:
    lines = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8").splitlines()
    extras = PROJECT["optional-dependencies"].values()
    for requirement in [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]:
        if "<" in requirement:
            at = next(number for number, line in enumerate(lines) if f'"{requirement}"' in line)
            assert "#" in lines[at] or lines[at - 1].lstrip().startswith("#"), requirement
