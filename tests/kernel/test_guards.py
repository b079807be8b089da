"""The counters that show whether the kernel moved pages by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guards


@pytest.fixture
def vmstat(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(guards, "VMSTAT", tmp_path / "vmstat")
    return tmp_path / "vmstat"


def test_only_what_moves_pages_is_read(vmstat: Path) -> None:
    vmstat.write_text("nr_free_pages 5\npswpout 3\nthp_split_page 0\npgmigrate_success many\n")
    assert guards.read() == {"pswpout": 3, "thp_split_page": 0}


def test_a_counter_that_moved_is_named_in_words(vmstat: Path) -> None:
    before = {"pswpout": 3, "thp_split_page": 7}
    assert guards.moved(before, before) == []
    after = {"pswpout": 3, "thp_split_page": 9, "pgmigrate_success": 1}
    assert guards.moved(before, after) == [
        "large folios split (thp_split_page +2)",
        "pages migrated (pgmigrate_success +1)",
    ]
    assert guards.moved(before, after, {"thp_split_page": 2}) == ["pages migrated (pgmigrate_success +1)"]


def test_without_counters(vmstat: Path) -> None:
    with pytest.raises(KernelError, match="vmstat cannot be read"):
        guards.read()
    vmstat.write_text("")
    with pytest.raises(KernelError, match="has none of"):
        guards.read()


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/vmstat")
def test_this_kernel_has_some() -> None:
    assert guards.moved(guards.read(), guards.read(), dict.fromkeys(guards.COUNTERS, 1 << 40)) == []
