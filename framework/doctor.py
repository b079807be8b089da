"""Examine this host: what works, what does not, and what to do about it."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework import host
from foliolab.framework.errors import FolioLabError
from foliolab.framework.plugins.registry import Registry

if TYPE_CHECKING:
    from foliolab.framework.kernel.probe import Capability

State = Literal["ok", "limited", "missing"]
PYTHON: Final = (3, 11)
NEEDED: Final = ("numpy", "msgspec", "pluggy", "rich", "typer", "platformdirs")
DEFAULT_MEMORY: Final = 6 << 30
"""The most memory that the default comparison takes."""


@dataclass(frozen=True)
class Finding:
    """The state of one feature of the host.

    Args:
        state: "ok"; "limited": something works less well; "missing": something does not work.
        detail: what was found.
        remedy: what to do about it, in one sentence; empty if nothing is needed.
        vital: whether no comparison can run without the feature.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""
    vital: bool = False


def examine(registry: Registry, encoding: str = "utf-8") -> Iterator[Finding]:
    """Examine one feature after the other; those that take seconds come last."""
    checks: Sequence[Callable[[], Finding]] = (
        _python, _packages, _processor, _native, _cores, _memory, _huge_pages, _cache, _compiler,
        lambda: _plugins(registry), lambda: _offers(registry), lambda: _terminal(encoding),
    )  # fmt: skip
    for check in checks:
        yield check()
    yield from _kernel(registry)
    yield from _recording()


def can_compare(findings: Sequence[Finding]) -> bool:
    """Whether a comparison can run on this host."""
    return not any(f.vital and f.state == "missing" for f in findings)


def _probed(
    name: str, good: bool, detail: str, remedy: str, otherwise: State = "limited", vital: bool = False
) -> Finding:
    """A finding that has a remedy if it is not good."""
    return Finding(name, "ok" if good else otherwise, detail, "" if good else remedy, vital)


def _python() -> Finding:
    good = sys.version_info >= PYTHON
    what = f" ({platform.python_implementation()})" if good else "; Python 3.11 or newer is needed"
    remedy = "Install it: apt-get install python3."
    return _probed("Python", good, platform.python_version() + what, remedy, "missing", vital=True)


def _packages() -> Finding:
    found, absent = [], []
    for name in NEEDED:
        try:
            importlib.import_module(name)
            found.append(f"{name} {metadata.version(name)}")
        except (ImportError, metadata.PackageNotFoundError):
            absent.append(name)
    remedy = f"Install: pip install {' '.join(absent)}."
    return _probed("packages", not absent, ", ".join(absent or found), remedy, "missing", vital=True)


def _processor() -> Finding:
    processor = platform.machine() or "unknown"
    good = processor in ("x86_64", "AMD64")
    what = (
        "atomics are the instructions that the kernel uses"
        if good
        else "the compiler chooses the instructions of atomics"
    )
    remedy = "Measure on x86-64 if the exact instructions matter."
    return _probed("processor", good, f"{processor}: {what}", remedy)


def _native() -> Finding:
    from foliolab.framework.machine import toolchain

    if missing := toolchain.missing(look=True):
        what = f"{missing}; everything runs interpreted, about 1,000 times slower"
        return Finding("native code", "limited", what, "Install it: pip install numba.")
    version = f"numba {metadata.version('numba')}"
    began = time.perf_counter()
    try:
        from foliolab.framework.machine import selftest

        answer = selftest.run()
    except Exception as fault:  # the compiler can raise anything
        what = " ".join(str(fault).split())
        return Finding(
            "native code", "limited", f"{version} does not work here: {type(fault).__name__}: {what}",
            "Reinstall it: pip install --force-reinstall numba; without it, everything runs interpreted.",
        )  # fmt: skip
    if answer != selftest.ANSWER:
        return Finding(
            "native code", "missing", f"{version} computes {answer} instead of {selftest.ANSWER}",
            "Reinstall it: pip install --force-reinstall numba.", vital=True,
        )  # fmt: skip
    return Finding("native code", "ok", f"{version}; a test function ran in {time.perf_counter() - began:.1f} s")


def _cores() -> Finding:
    cores = host.cores()
    alone = "1: threads take turns, so that contention cannot be measured"
    remedy = "Give the host (or the container) a second processor."
    return _probed("cores", cores >= 2, f"{cores}" if cores >= 2 else alone, remedy)


def _memory() -> Finding:
    available = host.memory_available()
    if available is None:
        return Finding(
            "memory", "limited", "unknown", "Choose --memory with care: FolioLab cannot refuse what does not fit."
        )
    good = available >= DEFAULT_MEMORY
    most = "" if good else f"; the default comparison takes up to {DEFAULT_MEMORY >> 30} GiB"
    remedy = "Use less memory: `foliolab compare --quick` or --memory 256M."
    return _probed("memory", good, f"{available / (1 << 30):.1f} GiB available{most}", remedy)


def _huge_pages() -> Finding:
    setting = host.huge_pages()
    good = setting in ("always", "madvise")
    what = (
        "modelled struct pages lie in 2 MiB pages, like the kernel's"
        if good
        else "times contain TLB misses that the kernel does not have"
    )
    remedy = "As root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled."
    return _probed("huge pages", good, f"{setting or 'none'}: {what}", remedy)


def _cache() -> Finding:
    from foliolab.framework.machine import cache

    folder = cache.folder()
    why = cache.refusal() or ("" if os.access(folder, os.W_OK) else f"{folder} cannot be written")
    if why:
        return Finding(
            "cache", "limited", f"{why}: each start compiles again",
            "Correct that, or set FOLIOLAB_CACHE to a folder of your own.",
        )  # fmt: skip
    return Finding("cache", "ok", f"{folder}")


def _compiler() -> Finding:
    from foliolab.framework.csource.ccompiler import compiler

    path = compiler()
    detail = path or "none; scenarios on a real kernel, compiled C text and FolioLab's benchmarks against C need one"
    return _probed("C compiler", bool(path), detail, "Install it: apt-get install gcc libc6-dev.")


def _plugins(registry: Registry) -> Finding:
    failures = registry.failures
    detail = ", ".join(plugin.name for plugin in registry.plugins)
    if failures:
        detail = f"failed: {', '.join(failure.name for failure in failures)}; the first: {failures[0].message}"
    return _probed("plugins", not failures, detail, "Correct or remove them; `foliolab list` shows each error.")


def _offers(registry: Registry) -> Finding:
    policies, workloads = len(registry.policies), len(registry.workloads)
    good = policies >= 2 and workloads > 0
    remedy = "Reinstall FolioLab: pip install --force-reinstall foliolab."
    return _probed("offers", good, f"{policies} policies, {workloads} workloads", remedy, "missing", vital=True)


REMEDIES: Final = {
    "Linux": "Compare policies in the model; only commands that ask a kernel need Linux.",
    "kernel configuration": "Install the kernel's config file in /boot, or build with CONFIG_IKCONFIG_PROC.",
    "root": "Run `foliolab kernel` as root for exact answers; else it says what it leaves out.",
    "THP settings": "Run as root, not in a container with a read-only /sys.",
    "PFNs": "Run as root (CAP_SYS_ADMIN).",
    "kpagecount": "Run as root (CAP_DAC_READ_SEARCH); the kernel needs CONFIG_PROC_PAGE_MONITOR.",
    "kpageflags": "Run as root (CAP_DAC_READ_SEARCH); the kernel needs CONFIG_PROC_PAGE_MONITOR.",
    "bit 56": "Use a kernel with CONFIG_PROC_PAGE_MONITOR.",
    "nr_anon": "Use Linux 6.12 or newer, built with CONFIG_TRANSPARENT_HUGEPAGE.",
    "vmstat": "Mount /proc: its vmstat says when the kernel moves pages by itself.",
    "pidfd": "Use Linux 5.3 or newer; scenarios with processes that exit need it.",
    "io_uring buffers": "Set kernel.io_uring_disabled=0 and raise `ulimit -l`; scenarios that pin pages need it.",
    "vmsplice": "Allow the system call; scenarios that hold references need it.",
    "swap": "Add a swap device for scenarios that page out; all others run.",
    "NUMA nodes": "Scenarios that migrate run in guests, which have two nodes: `foliolab kernel scenarios`.",
}
"""What to do about each missing capability of the running kernel, except CPUs, which `cores` covers."""


RECORDERS: Final = {
    "perf": "As root, with perf: apt-get install linux-perf.",
    "bpftrace": "As root, with bpftrace: apt-get install bpftrace; perf records the same.",
    "snapshots": "Run as root.",
    "strace": "Install it: apt-get install strace.",
}
"""What to do where a recorder does not work."""
RECORDING: Final = "record by"
LONGEST: Final = max(map(len, (*REMEDIES, *(f"{RECORDING} {name}" for name in RECORDERS))))
"""Characters of the longest name of a finding."""


def _kernel(registry: Registry) -> list[Finding]:
    try:
        from foliolab.framework.kernel import probe
    except ImportError as fault:  # `packages` says what to install
        return [Finding("running kernel", "limited", f"not examined: {fault}", "Install what `packages` names.")]
    found = {one.name: one for one in probe.probe()}
    findings = [_modelled(registry)] if found["Linux"].available else []
    sizes = [one for name, one in found.items() if name not in probe.NAMES]
    for one in found.values():
        if one.name in REMEDIES and (one.name != "Linux" or not one.available):
            findings.append(_probed(one.name, one.available, one.reason or "works", REMEDIES[one.name]))
    return [*findings, *([_folio_sizes(sizes)] if sizes else []), _guests()]


def _guests() -> Finding:
    """Whether kernels can be booted as guests."""
    from foliolab.framework.kernel.guest.qemu import INSTALL, qemu
    from foliolab.framework.kernel.images import store

    try:
        program, kernels = qemu().program, [image.name for image in store.images()]
    except FolioLabError as fault:
        return Finding("guests", "limited", fault.what, f"{INSTALL[0].upper()}{INSTALL[1:]}.")
    have = f"{len(kernels)} kernels at hand" if kernels else "no kernel at hand"
    return _probed("guests", bool(kernels), f"{program}; {have}", "Fetch a kernel: foliolab kernel get 6.12.")


def _recording() -> list[Finding]:
    try:
        from foliolab.framework.kernel.recording import probe
    except ImportError:  # `packages` says what to install
        return []
    return [
        _probed(f"{RECORDING} {recorder.name}", recorder.available, recorder.reason, RECORDERS.get(recorder.name, ""))
        for recorder in probe.probe()
    ]


def _modelled(registry: Registry) -> Finding:
    from foliolab.framework.kernel import running

    kernel = running.read()
    scheme = running.matching(registry, kernel)
    what = f"modelled by {scheme.name}" if scheme else "no policy models it"
    remedy = "Write a policy with `models=Models(…)`, or measure on Linux 6.10 or newer."
    return _probed("running kernel", bool(scheme), f"Linux {kernel.release}; {what}", remedy)


def _folio_sizes(sizes: Sequence[Capability]) -> Finding:
    present = [one.name.removeprefix("folios of ") for one in sizes if one.available]
    absent = next((f"; {one.name}: {one.reason}" for one in sizes if not one.available), "")
    text = f"allocated: {', '.join(present)}" if present else "none allocated"
    return _probed("folio sizes", not absent, text + absent, "Run as root on a kernel with mTHP (6.8 or newer).")


def _terminal(encoding: str) -> Finding:
    good = encoding.lower().replace("-", "") == "utf8"
    detail = encoding if good else f"{encoding}: symbols are replaced by ASCII"
    return _probed("terminal", good, detail, "Use a UTF-8 locale, for example LANG=C.UTF-8.")
