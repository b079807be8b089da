"""The benchmark of compiled C, whose comparisons tests run for a shorter time."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from types import ModuleType


def benchmark() -> ModuleType:
    place = Path(__file__).parents[1] / "benchmarks" / "compiled_c.py"
    spec = util.spec_from_file_location("compiled_c", place)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
