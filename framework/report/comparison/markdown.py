"""A comparison as Markdown for a pull request: the matrix, then the evidence, then how to repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from foliolab.framework.escaping import line, markdown_code
from foliolab.framework.escaping import markdown as plain
from foliolab.framework.report.comparison.matrix import Cell, Matrix, cells_of, headings, repeat


def markdown(found: Matrix) -> str:
    """A matrix as Markdown."""
    lines = [f"### {len(found.policies)} policies, {len(found.workloads)} workloads", "", plain(found.headline), ""]
    lines += _table(["policy", *found.workloads], [[name, *_words(found, name)] for name in found.policies])
    lines += ["", "▼ faster and ▲ slower than the baseline, all sizes together, with the 95 % interval; ◆ mixed: "
              "not at every size; times measured in turn in one job.", ""]  # fmt: skip
    for cell in found.failed:
        lines.append(f"- **not measured**: {plain(cell.policy)} under {plain(cell.workload)}: {plain(cell.reason)}")
    lines += [f"- {plain(note)}" for note in found.notes]
    for workload in found.workloads:
        lines += ["", "<details>", f"<summary>{escape(line(workload))}</summary>", ""]
        for policy in found.policies:
            lines += _evidence(found.cells[policy, workload])
        lines += ["</details>"]
    lines += ["", "<details>", "<summary>How to repeat it</summary>", ""]
    lines += [
        f"- {what}: {markdown_code(text)}" if what == "command" else f"- {what}: {plain(text)}"
        for what, text in repeat(found.result)
    ]
    return "\n".join([*lines, "", "</details>"]) + "\n"


def _words(found: Matrix, policy: str) -> list[str]:
    texts = []
    for workload in found.workloads:
        cell = found.cells[policy, workload]
        parts = [f"{cell.sign} {cell.word}".strip(), cell.figure, f"({cell.interval})" if cell.interval else ""]
        texts.append(" ".join(part for part in parts if part))
    return texts


def _evidence(cell: Cell) -> list[str]:
    if not cell.rows:
        return []
    lines = [f"**{plain(cell.policy)}**: {cell.word} {cell.figure}".rstrip(), ""]
    return [*lines, *_table(headings(cell.rows), [cells_of(row, cell.rows) for row in cell.rows]), ""]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(map(plain, columns))} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(map(plain, row))} |" for row in rows]
