"""`foliolab list`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_it_lists_policies_workloads_and_plugins(foliolab: Run) -> None:
    done = foliolab("list")
    assert (done.code, done.err) == (0, "")
    assert "\n  mm-id " in done.out
    assert "\n  munmap " in done.out
    assert "parameters: mms=16" in done.out
    assert "✓ policies foliolab" in done.out
    assert "failed" not in done.out


def test_a_failed_plugin_is_listed_with_its_error(foliolab: Run, plugins: Any, tmp_path: Path) -> None:
    bad = plugins.write(tmp_path, "raises")
    good = plugins.write_good(tmp_path)
    done = foliolab("list", "--plugin", bad, "--plugin", good)
    assert done.code == 0
    assert f"✗ raises failed (import) {bad}\n    {bad}:3: ZeroDivisionError: division by zero\n" in done.out
    assert "\n  good " in done.out
    assert foliolab("list", "--plugin", bad, "--strict").code == 4
    assert foliolab("list", "--plugin", good, "--strict").code == 0


def test_every_broken_plugin_at_once(foliolab: Run, plugins: Any, tmp_path: Path) -> None:
    files = [plugins.write(tmp_path, how) for how in plugins.BROKEN]
    done = foliolab("list", "--json", *(word for file in files for word in ("--plugin", file)))
    assert done.code == 0
    found = json.loads(done.out)
    assert {failure["name"] for failure in found["failures"]} == set(plugins.BROKEN)
    assert "mm-id" in {policy["name"] for policy in found["policies"]}


def test_json(foliolab: Run) -> None:
    found = json.loads(foliolab("list", "--json").out)
    assert found["schema"] == 1
    exact = next(p for p in found["policies"] if p["name"] == "exact")
    assert exact["plugin"] == "policies"
    assert exact["parameters"][0]["name"] == "mms"
    assert exact["parameters"][0]["default"] == 16
    munmap = next(w for w in found["workloads"] if w["name"] == "munmap")
    assert munmap["orders"] == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [p["name"] for p in found["plugins"]] == ["policies", "workloads"]
    assert found["failures"] == []
