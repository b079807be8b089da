"""The list of faults of the window: each names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

from faults import FAULTS, ROOT, outcomes, table


def test_every_fault_has_a_test_of_its_own() -> None:
    for fault, test in FAULTS:
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text()
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{fault}: there is no {test}"
    assert len({test for _, test in FAULTS}) == len(FAULTS), "no test stands for two faults"


def test_a_fault_is_gone_only_if_its_test_ran_and_passed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.gui.test_x" name="test_a[one]"/>'
        '<testcase classname="tests.gui.test_x" name="test_a[two]"><failure message="no"/></testcase>'
        '<testcase classname="tests.gui.test_x" name="test_b"><skipped message="no Xvfb"/></testcase>'
        '<testcase classname="tests.gui.test_x" name="test_c"/></testsuite></testsuites>'
    )
    names = [f"tests/gui/test_x.py::test_{letter}" for letter in "abc"]
    found = outcomes(report)
    assert [found[name] for name in names] == ["there", "not looked at: no Xvfb", "gone"]
    first = FAULTS[0]
    assert table({first[1]: "gone"}).splitlines()[0] == f"gone   {first[0]}"
    assert table({first[1]: "gone"}).endswith(f"1 of {len(FAULTS)} gone"), "what was not run is not gone"
