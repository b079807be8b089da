"""docs/verifier.md names every law and every attack."""

from __future__ import annotations

import re
from pathlib import Path

from foliolab.framework.verify.attacks import ATTACKS
from foliolab.framework.verify.laws import LAWS

TEXT = (Path(__file__).parents[2] / "docs" / "verifier.md").read_text()


def test_every_law_stands_in_the_document() -> None:
    named = set(re.findall(r"`([a-z-]+)`", TEXT))
    assert set(LAWS) <= named
    for law in ("safe", "reuse", "mapcount", "initial-values", "field-width"):
        assert f"| `{law}` | {LAWS[law]} |" in TEXT


def test_every_attack_stands_in_the_document() -> None:
    assert set(ATTACKS) == set(re.findall(r"^\*\*([a-z]+)\*\*", TEXT, re.MULTILINE))
