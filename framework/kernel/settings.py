"""The machine's THP settings: taken by one run at a time, and put back whatever happens.

Which folio sizes anonymous memory gets is decided by files below /sys/kernel/mm/transparent_hugepage
(Documentation/admin-guide/mm/transhuge.rst), for the whole machine. `exclusive` takes a lock, so that two runs
never meet; before the first change it writes all values to a state file. They are put back at the end, at an
exception, at SIGINT and SIGTERM; after kill -9 the next run does it, or `foliolab kernel restore`.
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
from foliolab.framework.kernel.ending import orderly_end, undisturbed
from foliolab.framework.kernel.lock import locked
from foliolab.framework.results.provenance import now

THP: Path = Path("/sys/kernel/mm/transparent_hugepage")
RUN: Path = Path("/run/foliolab")
"""Where the lock and the state file lie: gone after a reboot, as the settings are."""

Mode = Literal["always", "inherit", "madvise", "never"]
MODES: Final = ("always", "inherit", "madvise", "never")
PMD_KIB: Final = 2048
WHAT: Final = "the machine's THP settings"


def lock_file() -> Path:
    """The file whose flock a run holds while settings are its own."""
    return RUN / "kernel.lock"


def state_file() -> Path:
    """The file with the values from before the first change; there only while they are changed."""
    return RUN / "kernel-settings.json"


# -- reading: no lock, no privilege ------------------------------------------------------------------
def switches() -> dict[int, Path]:
    """The file that switches each anonymous folio size, by KiB, ascending; empty where the kernel has none.

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
    """Anonymous folio sizes in KiB above 4 that this kernel has, ascending."""
    return list(switches())


def mode_of(path: Path) -> str:
    """The chosen word of a file such as `always [madvise] never`.

    Raises:
        KernelError: the file cannot be read, or names no mode.
    """
    text = _read(path)
    chosen = text.partition("[")[2].partition("]")[0] or text.strip()
    if chosen not in MODES:
        raise KernelError(f"{path} says {text.strip()!r}, which names no chosen mode", "is this a THP setting?")
    return chosen


def resolved_mode(kib: int) -> str:
    """What a size is set to; for "inherit", what the machine is.

    Raises:
        KernelError: there is no such size, or its file cannot be read.
    """
    own = mode_of(_switch(kib))
    return mode_of(THP / "enabled") if own == "inherit" else own


def stats(kib: int) -> dict[str, int]:
    """The counters of a size, such as anon_fault_alloc, anon_fault_fallback, nr_anon, split.

    Raises:
        KernelError: the kernel has none for it (before 6.10), or they cannot be read.
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
    there = f"it has {', '.join(map(str, known))}" if known else f"{THP} is missing; use a kernel built with THP"
    raise KernelError(f"this kernel has no anonymous folios of {kib} KiB", there)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else fault
        raise KernelError(f"{path} cannot be read: {why}", "check that /sys is mounted and readable") from fault


def _write(path: Path, value: str) -> None:
    """Choose a value; the file must exist.

    Raises:
        KernelError: it does not, may not be written, or does not take the value.
    """
    try:
        place = os.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(place, value.encode())
        finally:
            os.close(place)
    except OSError as fault:
        hint = "run as root, outside of a container that has /sys read-only"
        if fault.errno == errno.EINVAL:
            hint = f"this kernel does not know {value!r} for it; it says: {_read(path).strip()}"
        raise KernelError(f"{path} cannot be set to {value!r}: {fault.strerror}", hint) from fault


# -- changing -----------------------------------------------------------------------------------------
class Exclusive:
    """The machine's THP settings, as long as the lock is held; made by `exclusive`."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._before: dict[Path, str] | None = None

    def sizes(self) -> list[int]:
        """Anonymous folio sizes in KiB above 4 that this kernel has, ascending."""
        return sizes()

    def stats(self, kib: int) -> dict[str, int]:
        """The counters of a size; see `stats`."""
        return stats(kib)

    def only(self, kib: int | None, mode: Mode = "madvise") -> None:
        """Let new anonymous folios have one size, besides 4 KiB.

        Args:
            kib: that size; None or 4 for no large folios at all.
            mode: "madvise": where MADV_HUGEPAGE asks for it; "always": everywhere.

        Raises:
            KernelError: there is no such size, or a file cannot be written.
        """
        known = switches()
        if kib not in (None, 4):
            _switch(kib)  # the error names what there is
        self._remember(known)
        for size, path in known.items():
            _write(path, mode if size == kib else "never")

    def allow(self, kib: int, mode: Mode = "madvise") -> None:
        """Let new anonymous folios have one more size, and change nothing else; nothing where they may already.

        Raises:
            KernelError: there is no such size, or its file cannot be written.
        """
        path = _switch(kib)
        if resolved_mode(kib) not in ("always", mode):
            self._remember(switches())
            _write(path, mode)

    def _remember(self, known: Mapping[int, Path]) -> None:
        """Write down all values before the first change."""
        if self._before is None:
            before = {path: mode_of(path) for path in known.values()}
            state = {"pid": os.getpid(), "time": now(), "values": {_name(path): word for path, word in before.items()}}
            write_atomically(state_file(), json.dumps(state, indent=1).encode() + b"\n")
            self._before = before

    def restore(self) -> None:
        """Put all values back; does nothing in a process forked from the one that holds the lock.

        Raises:
            KernelError: a file cannot be written; the others are put back, the state file stays.
        """
        if self._before is not None and os.getpid() == self._owner:
            _put_back(self._before)
            self._before = None


def _name(path: Path) -> str:
    return path.relative_to(THP).as_posix()


def _put_back(values: Mapping[Path, str]) -> list[str]:
    """Write values, then remove the state file; the files that had to change."""
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
            f"what they were stands in {state_file()}; `foliolab kernel restore` tries again",
        )
    state_file().unlink(missing_ok=True)
    return changed


@contextmanager
def exclusive(wait: float | None = 0.0) -> Iterator[Exclusive]:
    """Hold the machine's THP settings; put them back at the end, whatever ends it.

    SIGTERM and SIGHUP become SystemExit meanwhile, so that they end it in good order. What a killed run left
    is put back first. A process forked inside neither holds the lock nor restores.

    Args:
        wait: seconds to wait for another run to end; None without limit.

    Raises:
        KernelError: another run holds the lock, the place for it cannot be written, or settings cannot be restored.
    """
    with locked(lock_file(), wait, WHAT):
        _restore_leftover()
        held = Exclusive()
        with orderly_end():
            try:
                yield held
            finally:
                with undisturbed():
                    held.restore()


def restore() -> list[str] | None:
    """Put back what a killed run left changed.

    Returns:
        The files that had to change with their values; None where no run left anything.

    Raises:
        KernelError: a run holds the lock, the state file is damaged, or a file cannot be written.
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
    """The values of a state file; only files that switch a size are ever written."""
    damaged = KernelError(
        f"{state_file()} is damaged, so what THP settings were before a killed run is not known",
        f"set the files below {THP} as you want them, then remove it",
    )
    try:
        values = json.loads(text)["values"]
        found = {THP / name: word for name, word in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        raise damaged from fault
    if not all(word in MODES and path in switches().values() for path, word in found.items()):
        raise damaged
    return found
