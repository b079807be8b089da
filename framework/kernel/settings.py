"""The host's THP settings: changed by one run at a time, and restored afterwards.

Files below /sys/kernel/mm/transparent_hugepage decide which folio sizes anonymous memory gets
(Documentation/admin-guide/mm/transhuge.rst). They are global to the host, so FolioLab treats them as borrowed
(docs/real-kernels.md, "Folios of a chosen size"):

- `exclusive` takes a lock file. Two runs with different sizes would spoil each other's measurements.
- Before the first change all values are written to a state file in /run, which a reboot empties as it resets the
  settings.
- The values are restored when the context ends, also after an exception, Ctrl-C, SIGTERM or SIGHUP.
- kill -9 runs no code, so it leaves the state file behind. The next run that takes the lock restores the values from
  it first, and so does `foliolab kernel restore`.
- A forked child neither has the lock nor restores: only the process that changed the settings does.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.ending import orderly_end, signals_blocked
from foliolab.framework.kernel.lock import locked
from foliolab.framework.results.provenance import now

THP: Path = Path("/sys/kernel/mm/transparent_hugepage")
RUN: Path = Path("/run/foliolab")
"""The folder of the lock file and the state file."""

Mode = Literal["always", "inherit", "madvise", "never"]
MODES: Final = ("always", "inherit", "madvise", "never")
PMD_KIB: Final = 2048
WHAT: Final = "the THP settings of this host"


def lock_file() -> Path:
    """The file whose flock a run has while it changes settings."""
    return RUN / "kernel.lock"


def state_file() -> Path:
    """The file with the original values; it exists only while settings are changed."""
    return RUN / "kernel-settings.json"


# -- reading: no lock, no privilege ------------------------------------------------------------------
def order_of(kib: int) -> int:
    """The order of a folio of a size in KiB."""
    return (kib // 4).bit_length() - 1


def switches() -> dict[int, Path]:
    """For each anonymous folio size in KiB, ascending, the file that enables it; empty on a kernel without THP.

    A folder `hugepages-8kB` without `enabled` is a size that only shmem has. A kernel before 6.8 has no such
    folders, and one size.
    """
    found = {}
    for path in THP.glob("hugepages-*kB/enabled"):
        with suppress(ValueError):
            found[int(path.parent.name.removeprefix("hugepages-").removesuffix("kB"))] = path
    if not found and (THP / "enabled").exists():
        found[_pmd_kib()] = THP / "enabled"
    return dict(sorted(found.items()))


def _pmd_kib() -> int:
    with suppress(OSError, ValueError):
        return int((THP / "hpage_pmd_size").read_text()) >> 10
    return PMD_KIB


def sizes() -> list[int]:
    """The anonymous folio sizes above 4 KiB that this kernel has, in KiB, ascending."""
    return list(switches())


def mode_of(path: Path) -> str:
    """The selected word of a file such as `always [madvise] never`.

    Raises:
        KernelError: the file cannot be read, or names no mode.
    """
    text = _read(path)
    chosen = text.partition("[")[2].partition("]")[0] or text.strip()
    if chosen not in MODES:
        raise KernelError(f"{path} says {text.strip()!r}, which names no chosen mode", "is this a THP setting?")
    return chosen


def resolved_mode(kib: int) -> str:
    """The mode of a size in KiB; for "inherit", the mode of the global setting.

    Raises:
        KernelError: there is no such size, or its file cannot be read.
    """
    own = mode_of(_switch(kib))
    return mode_of(THP / "enabled") if own == "inherit" else own


def stats(kib: int) -> dict[str, int]:
    """The counters of a size in KiB, such as anon_fault_alloc, anon_fault_fallback, nr_anon and split.

    Raises:
        KernelError: the kernel has no counters for the size (before 6.10), or they cannot be read.
    """
    folder = THP / f"hugepages-{kib}kB" / "stats"
    if not folder.is_dir():
        raise KernelError(
            f"there are no counters for folios of {kib} KiB: {folder} is missing", "use Linux 6.10 or newer"
        )
    found = {}
    for path in sorted(folder.iterdir()):
        text = _read(path)
        try:
            found[path.name] = int(text)
        except ValueError as fault:
            raise KernelError(f"{path} says {text.strip()!r}, which is no number", "is this a THP counter?") from fault
    return found


def _switch(kib: int) -> Path:
    known = switches()
    if kib in known:
        return known[kib]
    hint = f"it has {', '.join(map(str, known))}" if known else f"{THP} is missing; use a kernel built with THP"
    raise KernelError(f"this kernel has no anonymous folios of {kib} KiB", hint)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else fault
        raise KernelError(f"{path} cannot be read: {why}", "check that /sys is mounted and readable") from fault


def _write(path: Path, value: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as fault:
        hint = "run as root, outside of a container that has /sys read-only"
        if fault.errno == errno.EINVAL:
            hint = f"this kernel does not know {value!r} for it; it says: {_read(path).strip()}"
        raise KernelError(f"{path} cannot be set to {value!r}: {fault.strerror}", hint) from fault


# -- changing -----------------------------------------------------------------------------------------
class Exclusive:
    """Changes the host's THP settings while the lock is held; `exclusive` makes it."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._before: dict[Path, str] | None = None

    def only(self, kib: int | None, mode: Mode = "madvise") -> None:
        """Enable one size of large anonymous folios and disable all others.

        Args:
            kib: the size; None or 4 disables all.
            mode: "madvise": for memory with MADV_HUGEPAGE; "always": for all memory.

        Raises:
            KernelError: there is no such size, or a file cannot be written.
        """
        known = switches()
        if kib not in (None, 4):
            _switch(kib)  # raises an error that names the sizes
        self._save(known)
        for size, path in known.items():
            _write(path, mode if size == kib else "never")

    def allow(self, kib: int, mode: Mode = "madvise") -> None:
        """Enable one more size, unless it is enabled already, and change nothing else.

        Raises:
            KernelError: there is no such size, or its file cannot be written.
        """
        path = _switch(kib)
        if resolved_mode(kib) not in ("always", mode):
            self._save(switches())
            _write(path, mode)

    def lent(self) -> dict[int, Path]:
        """Allow others to change the settings while the lock is held; for each size in KiB, the file that enables it.

        Raises:
            KernelError: the original values cannot be read or saved.
        """
        known = switches()
        self._save(known)
        return known

    def _save(self, known: Mapping[int, Path]) -> None:
        """Write the state file before the first change."""
        if self._before is None:
            before = {path: mode_of(path) for path in known.values()}
            values = {path.relative_to(THP).as_posix(): word for path, word in before.items()}
            state = {"pid": os.getpid(), "time": now(), "values": values}
            write_atomically(state_file(), json.dumps(state, indent=1).encode() + b"\n")
            self._before = before

    def restore(self) -> None:
        """Restore all values; without effect in a forked child.

        Raises:
            KernelError: a file cannot be written; the other values are restored and the state file stays.
        """
        if self._before is not None and os.getpid() == self._owner:
            _put_back(self._before)
            self._before = None


def _put_back(values: Mapping[Path, str]) -> list[str]:
    """Write the values that differ, and remove the state file; a description of each change."""
    faults, changed = [], []
    for path, word in values.items():
        try:
            if mode_of(path) != word:
                _write(path, word)
                changed.append(f"{path}: {word}")
        except KernelError as fault:
            faults.append(fault)
    if faults:
        raise KernelError(
            f"{len(faults)} of {len(values)} THP settings could not be restored; the first: {faults[0].what}",
            f"their values are in {state_file()}; `foliolab kernel restore` tries again",
        )
    state_file().unlink(missing_ok=True)
    return changed


@contextmanager
def exclusive(wait: float | None = 0.0) -> Iterator[Exclusive]:
    """Take the THP settings for the duration of the context (see the module).

    Args:
        wait: seconds to wait for another run to end; None: without limit.

    Raises:
        KernelError: another run has the lock, the lock file cannot be written, or settings cannot be restored.
    """
    with locked(lock_file(), wait, WHAT):
        _restore_leftover()
        held = Exclusive()
        with orderly_end():
            try:
                yield held
            finally:
                with signals_blocked():
                    held.restore()


def restore() -> list[str] | None:
    """Restore the settings that a killed run left changed.

    Returns:
        The changed files with their values; None if no run left a state file.

    Raises:
        KernelError: a run has the lock, the state file is damaged, or a file cannot be written.
    """
    with locked(lock_file(), 0.0, WHAT):
        return _restore_leftover()


def _restore_leftover() -> list[str] | None:
    try:
        text = state_file().read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise KernelError(f"{state_file()} cannot be read: {fault.strerror}", "run as root") from fault
    return _put_back(_parse(text))


def _parse(text: bytes) -> dict[Path, str]:
    """The values of a state file. Paths that are not in `switches` are refused, since root writes to them."""
    damaged = KernelError(
        f"{state_file()} is damaged, so the THP settings before the killed run are not known",
        f"set the files below {THP} as you want them, then remove the state file",
    )
    try:
        values = json.loads(text)["values"]
        found = {THP / name: word for name, word in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as fault:
        raise damaged from fault
    if not all(word in MODES and path in switches().values() for path, word in found.items()):
        raise damaged
    return found
