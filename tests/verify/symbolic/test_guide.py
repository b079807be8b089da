"""docs/symbolic.md describes the package as it is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_guide_names_each_module_once():
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/symbolic.md").read_text("utf-8"), re.MULTILINE)
    files = {path.stem for path in (ROOT / "framework/verify/symbolic").glob("*.py")} - {"__init__"}
    assert sorted(rows) == sorted(files)
