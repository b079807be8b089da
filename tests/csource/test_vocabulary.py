"""C policies know every primitive that accesses memory or orders accesses."""

from __future__ import annotations

import re

import pytest

from foliolab.framework.csource import vocabulary
from foliolab.framework.csource.compilertext import INCLUDE
from foliolab.framework.machine.primitives import EFFECTS

PLAIN = {"load", "store"}
"""C's own reads and writes."""
OF_THE_ENGINE = {"init_fields"}
OF_MEMORY = ("load", "store", "update", "atomic", "barrier")
ACCESSES = {function.__name__ for function, effect in EFFECTS.items() if effect in OF_MEMORY}


def test_the_vocabulary_is_complete() -> None:
    known = {*vocabulary.PRIMITIVES.values(), *vocabulary.ACCESSES.values()}
    assert ACCESSES - known - PLAIN - OF_THE_ENGINE == set()


@pytest.mark.parametrize("header", ["foliolab.h", "native.h", "explored.h"])
def test_each_header_declares_them(header: str) -> None:
    text = (INCLUDE / header).read_text()
    missing = [name for name in vocabulary.PRIMITIVES if not re.search(rf"\b{name}\b", text)]
    assert not missing
