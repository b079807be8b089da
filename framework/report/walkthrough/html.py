"""A walkthrough as one HTML page that needs nothing else: no network, no other file.

The page is complete without its script, too: the table, the state after the last step, and the text that ran. The
script only moves through it. A policy of its content forbids every other script, and every connection.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from foliolab.framework.errors import FolioLabError
from foliolab.framework.escaping import visible
from foliolab.framework.report.pages import templates
from foliolab.framework.report.walkthrough.walkthrough import Line, Walkthrough

MOST_BYTES: Final = 200_000
"""The size of a page at most, so that a mail carries it."""
FEWEST_LINES: Final = 20
SIGNS: Final = {
    "setup": "–", "begin": "▸", "end": "", "read": "○", "write": "●", "lock": "◆", "unlock": "◇", "wait": "◌",
    "note": "",
}  # fmt: skip
"""The sign of each kind of line; an answer begins with its own."""
_EMBEDDED: Final = re.compile(rb'<script type="application/json" id="counterexample">(.*?)</script>', re.DOTALL)
_UNSAFE: Final = str.maketrans({one: f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"})


def page(made: Callable[[int], Walkthrough], most_lines: int) -> str:
    """The page of a walkthrough, with as many lines as fit.

    Args:
        made: the walkthrough with so many lines at most.
        most_lines: to begin with.

    Raises:
        UsageError: jinja2 is not installed.
        FolioLabError: not even a short one fits.
    """
    while True:
        text = html(made(most_lines))
        if len(text.encode()) <= MOST_BYTES:
            return text
        if most_lines <= FEWEST_LINES:
            raise FolioLabError(
                f"the page would be larger than {MOST_BYTES:,} bytes", "`foliolab step FILE --dump` prints the table"
            )
        most_lines = max(most_lines * 2 // 3, FEWEST_LINES)


def html(walk: Walkthrough) -> str:
    """The page of a walkthrough, however large.

    Raises:
        UsageError: jinja2 is not installed.
    """
    script = (templates.TEMPLATES / "walkthrough.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    keys = dict.fromkeys(key for drawing in walk.drawings for key in sorted(drawing.keys))
    keys |= dict.fromkeys(key for key, _ in walk.values)
    number = {key: index for index, key in enumerate(keys)}
    names = {id(source): f"{index}-" for index, source in enumerate(walk.sources)}
    return templates.render(
        "walkthrough.html.j2",
        walk=walk,
        rows=_rows(walk),
        minor=sum(line.minor for line in walk.lines),
        accesses=not walk.policies,
        number=number,
        lines_of=lambda source: _numbered(source, names[id(source)]),
        script=script,
        script_hash=f"sha256-{digest}",
        data=_json(_data(walk, number)),
        counterexample=_json(json.loads(walk.counterexample), ascii_only=True) if walk.counterexample else "",
    )


def counterexample_in(data: bytes) -> bytes:
    """The counterexample that a page holds; empty if it holds none."""
    found = _EMBEDDED.search(data)
    return found[1] if found else b""


def _json(value: Any, ascii_only: bool = False) -> str:
    """JSON that means nothing to the HTML around it."""
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).translate(_UNSAFE)


def _numbered(source: Any, name: str) -> list[tuple[str, str]]:
    return [(f"f{name}{source.first_line + at}", text) for at, text in enumerate(source.text.split("\n"))]


# -- rows --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Cell:
    text: str
    classes: str = ""
    span: int = 1


@dataclass(frozen=True)
class _Row:
    step: str
    classes: str
    lanes: tuple[_Cell, ...]
    truth: tuple[tuple[str, bool], ...]
    answers: tuple[tuple[str, str], ...]


def _rows(walk: Walkthrough) -> list[_Row]:
    held = {(span.thread, line) for span in walk.spans for line in range(span.first, span.last + 1)}
    rows: list[_Row] = []
    before: tuple[int, ...] = ()
    for at, line in enumerate(walk.lines):
        mark = line.mark
        truth = tuple((str(n or "·"), bool(before) and n != old) for n, old in _pairs(mark.mappings, before))
        before = mark.mappings or before
        rows.append(
            _Row(
                "" if mark.step is None else str(mark.step),
                f"{mark.kind}{' minor' if line.minor else ''}",
                tuple(_lanes(line, len(walk.heads), {lane for lane, where in held if where == at})),
                truth or (("", False),) * len(walk.truth[1]),
                line.answers or (("", ""),) * len(walk.policies),
            )
        )
    return rows


def _pairs(now: Sequence[int], before: Sequence[int]) -> list[tuple[int, int]]:
    return [(count, before[mm] if mm < len(before) else count) for mm, count in enumerate(now)]


def _lanes(line: Line, lanes: int, held: set[int]) -> list[_Cell]:
    mark = line.mark
    text = f"{SIGNS[mark.kind]} {mark.whole}".strip()
    if mark.thread < 0:
        return [_Cell(text, "", lanes)]
    cells = []
    for lane in range(lanes):
        holds = " held" if lane in held else ""
        does = lane == mark.thread
        cells.append(_Cell(text if does else "", f"lane l{lane % 8}{holds}{' does' if does else ''}"))
    return cells


# -- for the script ----------------------------------------------------------------------------------
def _data(walk: Walkthrough, number: dict[str, int]) -> dict[str, Any]:
    """What the script needs: where to begin, what is stored at first, and what each line changes."""
    wrong = [at for at, line in enumerate(walk.lines) if any(style for _, style in line.answers)]
    ends = [at for at, line in enumerate(walk.lines) if not line.minor]
    return {
        "first": [*wrong[:1], *ends[-1:], 0][0],
        "start": _values(walk.start, number),
        "lines": [
            {"c": _values(line.values, number), "s": line.source, "d": visible(_description(walk, line))}
            for line in walk.lines
        ],
    }  # fmt: skip


def _values(values: Sequence[tuple[str, str]], number: dict[str, int]) -> list[tuple[int, str]]:
    return [(number[key], visible(text)) for key, text in values if key in number]


def _description(walk: Walkthrough, line: Line) -> str:
    mark = line.mark
    step = "" if mark.step is None else f"step {mark.step}: "
    place = f" · {mark.location}" if mark.location else ""
    if not walk.policies:
        return f"{step}{mark.description}{place}"
    who = f"{walk.heads[mark.thread][0]}: " if len(walk.heads) > 1 else ""
    answers = zip(walk.policies, line.answers, strict=True)
    said = "".join(f"; {policy}: {text}" for policy, (text, _) in answers if text)
    return f"{step}{who}{mark.text}{said}{place}"
