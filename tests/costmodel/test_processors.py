"""The file of processors: what ships is complete, and a damaged file is refused with the reason."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from foliolab.framework import host
from foliolab.framework.costmodel import processors as room
from foliolab.framework.costmodel.processors import FILE, TERMS, parse, processors
from foliolab.framework.errors import PluginError, UsageError

GOOD = FILE.read_text()


def test_every_shipped_constant_has_a_range_a_unit_and_a_source() -> None:
    known = processors()
    assert known.version >= 1
    for processor in known.processor:
        assert {"instruction", "locked", "line"} <= processor.constants.keys() <= TERMS.keys()
        for constant in processor.constants.values():
            assert 0 < constant.range[0] <= constant.middle <= constant.range[1]
            assert constant.unit.startswith("cycles per ") and len(constant.source) > 20


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("\nversion = 3", "\nversion = ", "Invalid value"),
        ("\nversion = 3", "", "missing required field `version`"),
        ('cpu = "GenuineIntel 6 85"', 'cpus = "GenuineIntel 6 85"', "unknown field"),
        ("range = [17.0, 18.0]", "range = [18.0, 17.0]", "upside down"),
        ("range = [17.0, 18.0]", "range = [17.0]", "length 2"),
        ("range = [17.0, 18.0]", "range = [-1.0, 18.0]", "> 0"),
        ("range = [17.0, 18.0]", "range = [nan, nan]", ""),
        ("constants.locked]", "constants.lock]", "has a constant 'lock'; terms are instruction"),
        ('name = "epyc-7313"', 'name = "xeon-4210r"', "two processors have one name"),
        ('unit = "cycles per locked instruction"', 'unit = ""', "length >= 1"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(PluginError) as fault:
        parse(GOOD.replace(old, new, 1).encode(), "a file")
    assert "a file" in str(fault.value) and why in str(fault.value)


def test_text_that_is_no_text_and_a_missing_file_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(PluginError):
        parse(b"\xff\xfe", "a file")
    monkeypatch.setattr(room, "FILE", tmp_path / "none.toml")
    with pytest.raises(PluginError, match=r"none\.toml"):
        processors.__wrapped__()


def test_an_unknown_processor_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError) as fault:
        processors().named("xeon-4210")
    text = f"{fault.value}"
    assert "there is no processor 'xeon-4210'" in text and "did you mean xeon-4210r?" in text
    assert all(one.name in text for one in processors().processor)


def test_this_machines_processor_is_found_by_family_and_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host, "PROC", tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(UsageError, match="no constants are known for this machine's processor"):
        processors().named("host")
    lines = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Some Xeon\n"
    (tmp_path / "cpuinfo").write_text(lines)
    assert processors().named("host").name == "xeon-4210r"
    (tmp_path / "cpuinfo").write_text(lines.replace("85", "86"))
    with pytest.raises(UsageError, match="GenuineIntel 6 86"):
        processors().named("host")
