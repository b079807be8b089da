"""Counted instructions: locked ones are the atomics of the text, and a second count gives the same."""

from __future__ import annotations

import ctypes
import mmap
import platform
import signal
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="numba is missing: there is no native code")

from foliolab.framework.contract.workload import Setting
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.machine import stepping
from foliolab.framework.plugins.registry import load
from foliolab.framework.run.cases import Case
from foliolab.framework.run.count import count
from foliolab.framework.run.executed import applies, count_executed

pytestmark = pytest.mark.skipif(
    bool(stepping.unsupported() or native_missing()), reason=stepping.unsupported() or "there is no native code"
)

CODE = bytes.fromhex(
    "b9 03000000"  # mov $3, %ecx
    "f0 48 ff 07"  # 1: lock incq (%rdi)
    "87 07"  # xchg %eax, (%rdi)
    "87 c0"  # xchg %eax, %eax
    "ff c9"  # dec %ecx
    "75 f4"  # jnz 1b
    "c3"
)


def test_each_instruction_counts_once_and_those_with_lock_and_xchg_as_locked() -> None:
    rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, rights)
    page[: len(CODE)] = CODE
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    loop = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(start)
    word = ctypes.create_string_buffer(8)
    before = signal.getsignal(signal.SIGTRAP)
    found = [stepping.executed(lambda: loop(word)) for _ in range(3)]
    assert found == [stepping.Executed(instructions=1 + 3 * 5 + 1, locked=6)] * 3
    assert signal.getsignal(signal.SIGTRAP) is before


def test_a_call_that_fails_is_counted_no_further() -> None:
    with pytest.raises(ZeroDivisionError):
        stepping.executed(lambda: 1 // 0)
    assert stepping.executed(lambda: None) == stepping.Executed(0, 0)


@pytest.mark.parametrize(("workload", "policy"), [("munmap", "no-page-mapcount"), ("reuse-byte", "page-mapcount")])
def test_locked_instructions_are_the_atomics_of_the_text(workload: str, policy: str) -> None:
    registry = load()
    case, scheme = Case(registry.workload(workload), Setting(2, 1 << 12, 1)), registry.policy(policy)
    found = count_executed(case, scheme)
    assert found["locked"] == count(case, scheme, 60.0)["atomics"]
    assert found["instructions"] > 10 * found["locked"]
    assert found["copied_pages"] == (workload == "reuse-byte")
    assert applies(case)


def test_threads_are_not_counted() -> None:
    registry = load()
    assert not applies(Case(registry.workload("contention-same-2"), Setting(2, 1 << 12, 1)))


def test_other_machines_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(stepping.NotCounted, match="x86-64 under Linux, and this is aarch64"):
        stepping.executed(lambda: None)
