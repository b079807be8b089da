"""Tests of explore need native code; modules that they share are in this folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from foliolab.framework.engine.engine import native_missing

sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder if native code cannot be compiled."""
    if missing := native_missing():
        here = Path(__file__).parent
        for item in items:
            if item.path.is_relative_to(here):
                item.add_marker(pytest.mark.skip(reason=missing))
