"""The large folios of a recording: a size is switched on meanwhile, and a program that gets none is told why."""

from __future__ import annotations

from pathlib import Path

import pytest

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import settings
from foliolab.framework.kernel.recording import large_folios
from foliolab.framework.kernel.recording.large_folios import CHARGE, FALLBACK, Chances, why_none


@pytest.fixture
def thp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of settings: 64 KiB for madvise, 2 MiB never."""
    for kib, mode in ((64, "always inherit [madvise] never"), (2048, "always inherit madvise [never]")):
        folder = tmp_path / "thp" / f"hugepages-{kib}kB"
        (folder / "stats").mkdir(parents=True)
        (folder / "enabled").write_text(mode)
        for name in (FALLBACK, CHARGE):
            (folder / "stats" / name).write_text("5\n")
    (tmp_path / "thp" / "enabled").write_text("[always] madvise never")
    monkeypatch.setattr(settings, "THP", tmp_path / "thp")
    monkeypatch.setattr(settings, "RUN", tmp_path / "run")
    return tmp_path / "thp"


def modes(thp: Path) -> dict[int, str]:
    return {kib: settings.mode_of(path) for kib, path in settings.switches().items()}


def test_a_size_is_on_for_all_memory_meanwhile(thp: Path) -> None:
    before = modes(thp)
    with large_folios.only(64, 0.0):
        assert modes(thp) == {64: "always", 2048: "never"}
        assert Chances.now() == Chances(
            {64: "always", 2048: "never"}, {kib: {FALLBACK: 5, CHARGE: 5} for kib in before}
        )
        with pytest.raises(KernelError, match="is using the THP settings"), large_folios.only(64, 0.0):
            pass
    assert modes(thp) == before
    with pytest.raises(ZeroDivisionError), large_folios.only(2048, 0.0):
        raise ZeroDivisionError
    assert modes(thp) == before
    with pytest.raises(KernelError, match="no anonymous folios of 12 KiB"), large_folios.only(12, 0.0):
        pass
    assert modes(thp) == before
    with large_folios.only(0, 0.0):
        assert modes(thp) == before
    assert not settings.state_file().exists()


@pytest.mark.parametrize(
    ("modes", "more", "charged", "said"),
    [
        ({}, 0, 0, "this kernel has no large folios for anonymous memory"),
        ({64: "never", 2048: "never"}, 0, 0, "all sizes are switched off on this host (never); --folios 64K"),
        ({64: "madvise", 2048: "never"}, 9, 0, "folios of 64 KiB go to memory with MADV_HUGEPAGE only"),
        ({64: "always", 2048: "madvise"}, 0, 0, "folios of 64 KiB were on, but no fault fell where one fits"),
        ({64: "always", 2048: "always"}, 3, 0, "6 faults on this host found no folio of 64 KiB, 2048 KiB"),
        ({64: "always"}, 3, 2, "and the limit of a memory cgroup refused 2 of them"),
    ],
)
def test_a_program_without_large_folios_is_told_why(modes: dict[int, str], more: int, charged: int, said: str) -> None:
    before = Chances(modes, {kib: {FALLBACK: 10, CHARGE: 4} for kib in modes})
    after = Chances(modes, {kib: {FALLBACK: 10 + more, CHARGE: 4 + charged} for kib in modes})
    assert said in why_none(before, after)


def test_a_kernel_without_counters_is_asked_for_its_modes(thp: Path) -> None:
    for name in (FALLBACK, CHARGE):
        (thp / "hugepages-64kB" / "stats" / name).unlink()
    (thp / "hugepages-64kB" / "stats").rmdir()
    assert Chances.now().modes == {64: "madvise", 2048: "never"}
    assert "MADV_HUGEPAGE only" in why_none(Chances.now(), Chances.now())
