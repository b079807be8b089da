"""What this machine can do, what it cannot, and what to do about it."""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework import host
from foliolab.framework.plugins.registry import Registry

if TYPE_CHECKING:
    from foliolab.framework.kernel.probe import Capability

State = Literal["ok", "limited", "missing"]
PYTHON: Final = (3, 11)
NEEDED: Final = ("numpy", "msgspec", "pluggy", "rich", "typer", "platformdirs")
DEFAULT_MEMORY: Final = 6 << 30
"""What the default comparison takes at most."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: what.
        state: "ok"; "limited": something works less well; "missing": something does not work.
        detail: what was found.
        remedy: what to do about it, a sentence; empty where nothing need be done.
        vital: whether nothing can be compared while it is missing.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""
    vital: bool = False


def examine(registry: Registry, encoding: str = "utf-8") -> list[Finding]:
    """Look at everything.

    Args:
        registry: what plugins offer.
        encoding: of the terminal.
    """
    checks: Sequence[Callable[[], Finding]] = (
        _python, _packages, _processor, _native, _cores, _memory, _huge_pages, _cache, _compiler,
        lambda: _plugins(registry), lambda: _offers(registry), lambda: _terminal(encoding),
    )  # fmt: skip
    return [check() for check in checks] + _kernel(registry) + _recording()


def can_compare(findings: Sequence[Finding]) -> bool:
    """Whether a comparison can run here at all."""
    return not any(f.vital and f.state == "missing" for f in findings)


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info >= PYTHON:
        return Finding("Python", "ok", f"{version} ({platform.python_implementation()})", vital=True)
    return Finding(
        "Python", "missing", f"{version}, and 3.11 is the oldest that will do",
        "Install a newer one: apt-get install python3.", vital=True,
    )  # fmt: skip


def _packages() -> Finding:
    found, absent = [], []
    for name in NEEDED:
        try:
            importlib.import_module(name)
            found.append(f"{name} {metadata.version(name)}")
        except (ImportError, metadata.PackageNotFoundError):
            absent.append(name)
    if not absent:
        return Finding("packages", "ok", ", ".join(found), vital=True)
    return Finding("packages", "missing", ", ".join(absent), f"Install: pip install {' '.join(absent)}.", vital=True)


def _processor() -> Finding:
    machine = platform.machine() or "unknown"
    if machine in ("x86_64", "AMD64"):
        return Finding("processor", "ok", f"{machine}: atomics are the instructions that the kernel uses")
    return Finding(
        "processor", "limited", f"{machine}: atomics are whatever the compiler makes of them",
        "Measure on x86-64 where the exact instructions matter.",
    )  # fmt: skip


def _native() -> Finding:
    """Whether a function of primitives can be compiled and run here."""
    from foliolab.framework.engine.engine import native_missing

    if missing := native_missing():
        return Finding("native code", "limited", missing, "Install it: pip install numba.")
    version = f"numba {metadata.version('numba')}"
    began = time.perf_counter()
    try:
        from foliolab.framework.machine import selftest

        answer = selftest.run()
    except Exception as fault:  # whatever the compiler raises is the finding
        what = " ".join(str(fault).split())
        return Finding(
            "native code", "limited", f"{version} does not work here: {type(fault).__name__}: {what}",
            "Reinstall it: pip install --force-reinstall numba; until then everything runs interpreted.",
        )  # fmt: skip
    if answer != selftest.ANSWER:
        return Finding(
            "native code", "missing", f"{version} computes {answer} instead of {selftest.ANSWER}",
            "Reinstall it: pip install --force-reinstall numba.", vital=True,
        )  # fmt: skip
    return Finding("native code", "ok", f"{version}; a trial function ran in {time.perf_counter() - began:.1f} s")


def _cores() -> Finding:
    cores = host.cores()
    if cores >= 2:
        return Finding("cores", "ok", f"{cores}")
    return Finding(
        "cores", "limited", "1: threads take turns, so contention cannot be measured",
        "Give the machine (or the container) a second processor.",
    )  # fmt: skip


def _memory() -> Finding:
    available = host.memory_available()
    if available is None:
        return Finding("memory", "limited", "unknown", "Choose --memory with care: nothing is refused here.")
    told = f"{available / (1 << 30):.1f} GiB available"
    if available >= DEFAULT_MEMORY:
        return Finding("memory", "ok", told)
    return Finding(
        "memory", "limited", f"{told}; the default comparison takes up to {DEFAULT_MEMORY >> 30} GiB",
        "Use less, for example `foliolab compare --quick` or --memory 256M.",
    )  # fmt: skip


def _huge_pages() -> Finding:
    setting = host.huge_pages()
    if setting in ("always", "madvise"):
        return Finding("huge pages", "ok", f"{setting}: modelled struct pages lie in 2 MiB pages, as the kernel's do")
    return Finding(
        "huge pages", "limited", f"{setting or 'none'}: TLB misses of small pages are measured, too",
        "As root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled.",
    )  # fmt: skip


def _cache() -> Finding:
    from foliolab.framework.machine import cache

    folder = cache.folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as fault:
        return Finding(
            "cache", "limited",
            f"{folder} cannot be written ({fault.strerror or fault}): every start compiles anew",
            "Make it writable, or set FOLIOLAB_CACHE to a folder that is.",
        )  # fmt: skip
    return Finding("cache", "ok", f"{folder}")


def _compiler() -> Finding:
    if path := shutil.which("gcc"):
        return Finding("C compiler", "ok", path)
    return Finding(
        "C compiler", "limited", "no gcc: only the project's own benchmarks against C need one",
        "Install it: apt-get install gcc libc6-dev.",
    )  # fmt: skip


def _plugins(registry: Registry) -> Finding:
    names = ", ".join(plugin.name for plugin in registry.plugins)
    if not registry.failures:
        return Finding("plugins", "ok", names)
    first = registry.failures[0]
    failed = ", ".join(failure.name for failure in registry.failures)
    return Finding(
        "plugins", "limited", f"failed: {failed}; the first: {first.message}",
        "Mend or remove them; `foliolab list` shows each with its error.",
    )  # fmt: skip


def _offers(registry: Registry) -> Finding:
    policies, workloads = len(registry.policies), len(registry.workloads)
    told = f"{policies} policies, {workloads} workloads"
    if policies >= 2 and workloads:
        return Finding("offers", "ok", told, vital=True)
    return Finding("offers", "missing", told, "Reinstall FolioLab: pip install --force-reinstall foliolab.", vital=True)


REMEDIES: Final = {
    "Linux": "Compare policies in the model; what asks a kernel says that it needs Linux.",
    "kernel configuration": "Install the kernel's config file in /boot, or build with CONFIG_IKCONFIG_PROC.",
    "root": "Run `foliolab kernel` as root for exact answers; without, it says what it leaves out.",
    "THP settings": "Run as root, outside of a container that has /sys read-only.",
    "PFNs": "Run as root (CAP_SYS_ADMIN).",
    "kpagecount": "Run as root (CAP_DAC_READ_SEARCH); the kernel needs CONFIG_PROC_PAGE_MONITOR.",
    "kpageflags": "Run as root (CAP_DAC_READ_SEARCH); the kernel needs CONFIG_PROC_PAGE_MONITOR.",
    "bit 56": "Use a kernel with CONFIG_PROC_PAGE_MONITOR.",
    "nr_anon": "Use Linux 6.12 or newer, built with CONFIG_TRANSPARENT_HUGEPAGE.",
    "vmstat": "Mount /proc: without it nobody knows when the kernel moved pages by itself.",
    "pidfd": "Use Linux 5.3 or newer; scenarios whose processes exit need it.",
    "io_uring buffers": "Set kernel.io_uring_disabled=0 and raise `ulimit -l`; scenarios that pin pages need it.",
    "vmsplice": "Allow the system call; scenarios that hold references need it.",
    "swap": "Add a swap device for scenarios that page out; all others run.",
}
"""What to do about a capability of the running kernel that is not there; `cores` tells of CPUs already."""


WAYS: Final = {
    "perf": "As root, with perf: apt-get install linux-perf.",
    "bpftrace": "As root, with bpftrace: apt-get install bpftrace; perf does the same.",
    "snapshots": "Run as root.",
    "strace": "Install it: apt-get install strace.",
}
"""What to do about a way of recording that does not work."""


def _kernel(registry: Registry) -> list[Finding]:
    """What of the running kernel can be used as a second back end."""
    try:
        from foliolab.framework.kernel import probe
    except ImportError as fault:  # `packages` says what to install
        return [Finding("running kernel", "limited", f"not looked at: {fault}", "Install what `packages` names.")]
    found = {one.name: one for one in probe.probe()}
    findings = [_modelled(registry)] if found["Linux"].available else []
    sizes = [one for name, one in found.items() if name not in probe.NAMES]
    for one in found.values():
        if one.name in REMEDIES and (one.name != "Linux" or not one.available):
            remedy = "" if one.available else REMEDIES[one.name]
            findings.append(Finding(one.name, _state(one.available), one.reason or "works", remedy))
    return findings + ([_folio_sizes(sizes)] if sizes else [])


def _recording() -> list[Finding]:
    """Which ways of recording real programs work."""
    try:
        from foliolab.framework.kernel.recording import probe
    except ImportError:  # `packages` says what to install
        return []
    return [
        Finding(
            f"record by {way.name}", _state(way.available), way.reason, "" if way.available else WAYS.get(way.name, "")
        )
        for way in probe.probe()
    ]


def _state(available: bool) -> State:
    return "ok" if available else "limited"


def _modelled(registry: Registry) -> Finding:
    from foliolab.framework.kernel import running

    kernel = running.read()
    if scheme := running.matching(registry, kernel):
        return Finding("running kernel", "ok", f"Linux {kernel.release}; modelled by {scheme.name}")
    return Finding(
        "running kernel", "limited", f"Linux {kernel.release}; no policy models it",
        "Write a policy that says `models=Models(…)`, or measure on Linux 6.10 or newer.",
    )  # fmt: skip


def _folio_sizes(sizes: Sequence[Capability]) -> Finding:
    """All large folio sizes in one finding."""
    there = [one.name.removeprefix("folios of ") for one in sizes if one.available]
    absent = [one for one in sizes if not one.available]
    told = f"allocated: {', '.join(there)}" if there else "none allocated"
    if not absent:
        return Finding("folio sizes", "ok", told)
    return Finding(
        "folio sizes", "limited", f"{told}; {absent[0].name}: {absent[0].reason}",
        "Run as root on a kernel with mTHP (6.8 or newer).",
    )  # fmt: skip


def _terminal(encoding: str) -> Finding:
    if encoding.lower().replace("-", "") == "utf8":
        return Finding("terminal", "ok", encoding)
    return Finding(
        "terminal", "limited", f"{encoding}: signs are written in ASCII",
        "For the signs use a UTF-8 locale, for example LANG=C.UTF-8.",
    )  # fmt: skip
