"""The tables of mutants, from what `python tests/benchmarks/mutants.py --save` measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from foliolab_docs.markdown import code, table

MINUTE: Final = 60.0
STORED: Final = Path(__file__).parents[2] / "data" / "mutants.json"


def part(stored: Path = STORED) -> Iterator[str]:
    """A table of kinds, and one of all mutants."""
    found = json.loads(stored.read_text("utf-8"))
    rows: list[dict[str, Any]] = found["mutants"]
    quick = sum(one.get("seconds", MINUTE + 1) <= MINUTE for one in rows)
    refuted = sum("attack" in one for one in rows)
    yield (
        f"{refuted} of {len(rows)} mutants were refuted, {quick} within a minute ({found['machine']}, {found['date']}; "
        f"{found['load']:.0f} processes, those of other programs as well, wanted a processor on average)."
    )
    yield ""
    kinds = dict.fromkeys(one["kind"] for one in rows)
    yield from table(
        ("kind", "mutants", "refuted", "by", "longest time"), (_kind(kind, rows) for kind in kinds), right=4
    )
    yield from table(
        ("kind", "mutant", "of", "attack", "law", "time"),
        (
            (
                one["kind"],
                code(one["name"]),
                code(one["policy"]),
                one.get("attack", "–"),
                one.get("law", "–"),
                _time(one),
            )
            for one in rows
        ),
        right=5,
    )


def _kind(kind: str, rows: list[dict[str, Any]]) -> tuple[str, int, int, str, str]:
    own = [one for one in rows if one["kind"] == kind]
    refuted = [one for one in own if "attack" in one]
    attacks = ", ".join(sorted({one["attack"] for one in refuted}))
    return kind, len(own), len(refuted), attacks, _time(max(refuted, key=lambda one: one["seconds"], default={}))


def _time(one: dict[str, Any]) -> str:
    return f"{one['seconds']:.1f} s" if "seconds" in one else "–"
