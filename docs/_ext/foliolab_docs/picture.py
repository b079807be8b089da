"""Graphs as inline SVG, laid out by graphviz. Colours are classes of the theme (docs/_static/foliolab.css).

sphinx.ext.graphviz links a picture as a file of its own, which the colours of the page do not reach. This module calls
`dot` itself and makes its SVG a part of the page, readable on light and dark pages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape
from typing import Final

from foliolab_docs.states import NAMES, Graph, State

LONGEST: Final = 30
"""Characters of a line of text."""
ABSENT: Final = "This picture needs graphviz (`dot`), which was not installed when this page was built."
STYLE: Final = """
  graph [bgcolor=transparent, nodesep=0.35, ranksep=0.55]
  node [shape=box, style=rounded, fontname=Courier, fontsize=11, margin="0.12,0.08"]
  edge [fontname=Courier, fontsize=10, arrowsize=0.6]
"""


def available() -> bool:
    """Whether graphviz is installed."""
    return shutil.which("dot") is not None


def drawn(graph: str, title: str) -> str:
    """A graph as an SVG element, scaled for a page.

    Args:
        graph: the statements of a directed graph in graphviz's language; attributes `class` become CSS classes.
        title: what the picture shows, for readers who cannot see it.

    Raises:
        subprocess.CalledProcessError: graphviz refuses the graph.
    """
    # graphviz begins the ids of nodes and edges with that of the graph: a page may have several pictures
    identifier = re.sub(r"\W+", "_", title.lower()).strip("_")
    text = f'digraph {{ id="{identifier}"\n{STYLE}{graph}\n}}'
    done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, encoding="utf-8", check=True)
    svg = re.sub(r"<!--.*?-->\n?", "", done.stdout[done.stdout.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<title>%\d+</title>\n?", "", svg)
    return svg.replace("<svg ", f'<svg class="foliolab-graph" role="img" aria-label="{escape(title)}" ', 1).strip()


def states(graph: Graph, title: str) -> str:
    """A graph of states, in rows by the number of mappings.

    Args:
        graph: the states.
        title: as for `drawn`.
    """
    lines = []
    for number, state in enumerate(graph.states):
        verdict = re.sub(r"\W+", "-", state.verdict) or "unmapped"
        lines.append(f'  {number} [class="{verdict}", label="{_label(state)}"]')
    above = ""
    for count in sorted({state.mappings for state in graph.states}):
        row = [str(number) for number, state in enumerate(graph.states) if state.mappings == count]
        lines.append(f"  {{ rank=same; {'; '.join(row)} }}")
        lines += [f"  {above} -> {row[0]} [style=invis, weight=0]"] if above else []
        above = row[0]
    words: dict[tuple[int, int], list[str]] = {}
    for one in graph.transitions:
        words.setdefault((one.source, one.target), []).append(one.operation)
    for (source, target), operations in words.items():
        text = "\\n".join(operations)
        if graph.states[source].mappings < graph.states[target].mappings:
            lines.append(f'  {source} -> {target} [label="{text}"]')
        else:  # towards fewer mappings: the edge runs upwards, and must not change the order of the rows
            lines.append(f'  {target} -> {source} [dir=back, label="{text}"]')
    return drawn("\n".join(lines), title)


def _label(state: State) -> str:
    """What stands in the box of a state: the answer, the mapped pages of each MM, the fields."""
    lines = [state.verdict or "not mapped"]
    pages = [NAMES[mm] + " " + "".join("■" if there else "□" for there in state.mapped[mm]) for mm in state.living]
    lines += ["  ".join(pages)] if pages else []
    for name, text in state.fields:
        line = f"{name} {text}"
        while len(line) > LONGEST and " " in line[:LONGEST].strip():
            cut = line.rindex(" ", 0, LONGEST)
            lines.append(line[:cut])
            line = f"  {line[cut + 1 :]}"
        lines.append(line)
    return "".join(f"{line}\\l" for line in lines)
