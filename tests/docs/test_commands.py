"""Every `foliolab …` that a page of the documentation names can be called so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from foliolab.framework.cli import application

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    file for file in DOCS.rglob("*.md") if not {"policies", "findings"} & {*file.parts}
)  # what is made lies there
WORDS = re.compile(r"^(?:\$ )?(foliolab [a-z].*?)(?: +#.*)?$|`(foliolab [a-z][^`]*)`", re.MULTILINE)
STANDS_FOR = {"NAME": "mm-id", "POLICY": "mm-id", "FILE": "x.json", "FOLDER": "x"}


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = re.sub(r"\\\n *", "", page.read_text("utf-8"))  # a command may go on in the next line
        found += [(page.name, (one[0] or one[1]).replace("\n", " ")) for one in WORDS.findall(text)]
    return sorted(set(found))


def parse(command: click.Command, arguments: list[str]) -> None:
    """Go down to the verb and have its arguments read; nothing runs."""
    while isinstance(command, click.Group):
        name, *arguments = arguments
        below = command.get_command(click.Context(command), name)
        assert below is not None, f"there is no verb {name}"
        command = below
        if not arguments:
            return
    command.make_context(command.name, arguments)


def test_pages_name_commands() -> None:
    assert len(commands()) > 30
    assert {page for page, _ in commands()} >= {"right.md", "cost.md", "scenarios.md", "verifier.md"}


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_can_be_called_so(page: str, command: str) -> None:
    arguments = [STANDS_FOR.get(word, word) for word in shlex.split(command)[1:]]
    root = typer.main.get_command(application())
    try:
        parse(root, arguments)
    except click.UsageError as fault:
        pytest.fail(f"{page}: {command}: {fault.format_message()}")


def test_a_wrong_command_is_seen() -> None:
    root = typer.main.get_command(application())
    with pytest.raises(click.UsageError):
        parse(root, ["run", "--no-such-option"])
    with pytest.raises(AssertionError):
        parse(root, ["no-such-verb"])
