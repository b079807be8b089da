"""The list of faults of the window: each names a test that exists."""

from __future__ import annotations

import re

from faults import FAULTS, ROOT


def test_every_fault_has_a_test_of_its_own() -> None:
    for fault, test in FAULTS:
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text()
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{fault}: there is no {test}"
    assert len({test for _, test in FAULTS}) == len(FAULTS), "no test stands for two faults"
