"""`foliolab kernel count`, and `bench` of kernels in guests: what is refused before a guest starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.kernel import guestbench
from foliolab.framework.kernel.guest.qemu import Qemu

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "no kernel is named"),
        (["9.99"], 3, "there is no kernel 9.99"),
        (["--image", "{image}", "--workloads", "munmp"], 2, "did you mean munmap"),
        (["--image", "{image}", "--memory", "5M"], 2, "a multiple of 2M"),
        (["--image", "{image}", "--memory", "1G"], 2, "up to 128M"),
        (["--image", "{image}", "--sizes", "3K"], 2, "3K"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    foliolab: Run, words: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path))
    image = tmp_path / "bzImage"
    image.write_bytes(bytes(514) + b"HdrS")
    done = foliolab("kernel", "count", *(word.format(image=image) for word in words))
    assert done.code == code
    assert said in done.err


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a kernel at hand, on a host with QEMU and without KVM."""
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path))
    image = tmp_path / "kernels" / "6.12.1" / "vmlinuz"
    image.parent.mkdir(parents=True)
    image.touch()
    monkeypatch.setattr(guestbench, "qemu", lambda: Qemu("qemu"))
    monkeypatch.setattr(guestbench, "kvm_missing", lambda program: "/dev/kvm: No such file or directory")
    return "6.12"


def test_times_of_guests_without_kvm_are_refused_and_counts_offered(foliolab: Run, kernel: str) -> None:
    done = foliolab("kernel", "bench", "--kernel", kernel)
    assert done.code == 3
    assert "need KVM, and it cannot be used here: /dev/kvm: No such file or directory" in done.err
    assert "`foliolab kernel count 6.12.1`" in done.err
    done = foliolab("kernel", "bench", "--kernel", "Base", "--benchmarks", "fork,munmap", "--sizes", "64K,2M")
    assert done.code == 3
    assert "Base is 6.12.1 (configuration unknown), which page-mapcount models" in done.err
    assert "`foliolab kernel count Base --workloads munmap,fork --sizes 64K,2M`" in done.err
    done = foliolab("kernel", "bench", "--kernel", "Base,No-Mapcount")
    assert done.code == 3
    assert "`foliolab kernel build debian:7.3 --set CONFIG_NO_PAGE_MAPCOUNT=y`" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--with-model"], "are for the running kernel"),
        (["--benchmarks", "anon-cow-seq"], "guests do not play 'anon-cow-seq'"),
        (["--memory", "512M"], "up to 128M"),
    ],
)
def test_what_guests_cannot_measure_is_refused(foliolab: Run, kernel: str, words: list[str], said: str) -> None:
    done = foliolab("kernel", "bench", "--kernel", kernel, *words)
    assert done.code == 2
    assert said in done.err
