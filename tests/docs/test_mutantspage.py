"""The tables of mutants say what the file says, and the file that ships is about all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foliolab.framework.verify.laws import LAWS

mutantspage = pytest.importorskip("foliolab_docs.mutantspage", reason="the extra `docs` is not installed")


def test_a_mutant_that_was_not_refuted_is_counted_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "mutants.json"
    found = {"name": "loses-a-count", "kind": "locks", "policy": "mm-id", "attack": "random", "law": "mapcount"}
    other = {"name": "loses-another", "kind": "locks", "policy": "mm-id"}
    rows = [found | {"seconds": 3.25, "processor_s": 5.0}, other]
    about = {"machine": "a machine, 2 processors", "date": "2026-12-01", "load": 1.2, "seconds": 60.0}
    file.write_text(json.dumps(about | {"mutants": rows}))
    text = "\n".join(mutantspage.part(file))
    assert "1 of 2 mutants were refuted, 1 within a minute (a machine, 2 processors, 2026-12-01" in text
    assert "| locks | 2 | 1 | random | 3.2 s |" in text
    assert "| locks | `loses-another` | `mm-id` | – | – | – |" in text


def test_the_kept_table_names_each_mutant_once_with_how_it_was_refuted() -> None:
    rows = json.loads(mutantspage.STORED.read_text("utf-8"))["mutants"]
    assert len({one["name"] for one in rows}) == len(rows) > 0
    assert all(one["law"] in LAWS and one["seconds"] > 0 for one in rows if "attack" in one)
    assert len("\n".join(mutantspage.part()).splitlines()) > len(rows)
