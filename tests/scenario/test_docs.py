"""docs/scenarios.md says what the code does: its tables are the code's, its example prints what it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from foliolab.framework.plugins.selection import PAGE, size_text
from foliolab.framework.scenario.formatter import format_scenario
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.situations import KINDS
from foliolab.framework.scenario.syntax import ACTIONS, ANSWERS, SUBJECTS, Action, order_of

DOCS = Path(__file__).parents[2] / "docs" / "scenarios.md"


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def table(heading: str) -> list[str]:
    part = DOCS.read_text().partition(f"### {heading}\n")[2]
    return [line for line in part.partition("\n#")[0].splitlines() if line.startswith("| `")]


def _operands(action: Action) -> str:
    words = [f"{o.keyword} {o.kind}".strip() for o in action.operands]
    return " ".join(f"[{word}]" if o.optional else word for word, o in zip(words, action.operands, strict=True))


def test_the_table_of_actions() -> None:
    assert table("Actions") == [
        f"| `{f'{name} {_operands(action)}'.strip()}` | {action.doc} | {', '.join(ANSWERS[action.answer])} |"
        for name, action in ACTIONS.items()
    ]


def test_the_table_of_subjects() -> None:
    assert table("Subjects") == [
        f"| `{name}{' N' * subject.number}` | {subject.doc} |" for name, subject in SUBJECTS.items()
    ]


def test_the_table_of_situations() -> None:
    assert table("Situations") == [f"| `{name}` | {kind.doc} |" for name, kind in KINDS.items()]


def test_the_sizes_of_the_grammar() -> None:
    (line,) = [line for line in block("ebnf").splitlines() if line.startswith("SIZE")]
    written = re.findall(r'"(\w+)"', line)
    assert written == [size_text(PAGE << order) for order in (0, *range(2, 10))]
    assert all(order_of(size) is not None for size in written)


def test_the_example(tmp_path: Path) -> None:
    text = block("scenario")
    assert format_scenario(parse(text)) == text
    (tmp_path / "litmus.scenario").write_text(text)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "foliolab.framework.cli", "run", "litmus.scenario"],
        cwd=tmp_path, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert [line for line in lines if " refuted" not in line] == block("text").splitlines()  # as the page says
