"""The first start on a host: create .venv beside the code, install the project in it, and start again there.

Uses only the standard library: `gui/__main__.py` and `tests/__main__.py` load this file by its path before anything
is installed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv"
PYTHON = HOME / "bin" / "python"
STAMP = HOME / "foliolab.stamp"
LOG = HOME / "foliolab-setup.log"

# Without it, modules of the current folder are importable; a checkout has a second `framework` there.
SAFE = "-P"
# The first pip that installs into another interpreter's environment (--python).
OLDEST_PIP = (22, 3)
# The stamp from the creation of .venv until its first complete installation.
UNFINISHED = "unfinished\n"
# Run by .venv's interpreter: fails if it is not in an environment, or is too old.
PROBE = "import sys; sys.exit(sys.prefix == sys.base_prefix or sys.version_info[:2] < (3, 11))"

DISK_FULL = "the disk is full, so .venv could not be set up; make room (about 1 GB) and start again."
# Words in pip's output, and the sentence for their cause; the first match counts.
CAUSES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("No space left on device", "Disk quota exceeded"),
        DISK_FULL,
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "Could not find a suitable TLS CA"),
        "the package index's certificate cannot be checked, so .venv could not be set up; "
        "on Debian: apt-get install ca-certificates, then start again.",
    ),
    (
        (
            "NewConnectionError",
            "NameResolutionError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ProxyError",
            "Failed to establish a new connection",
            "Connection refused",
            "Connection reset",
            "Read timed out",
        ),
        "the package index cannot be reached, so .venv could not be set up; "
        "check the network (or pip's index and proxy settings) and start again.",
    ),
)


class SetupFault(Exception):
    """The set-up failed; the text is one sentence: why, and what to do."""


def start(module: str, arguments: Sequence[str], extras: Iterable[str], probes: Iterable[str]) -> NoReturn:
    """Run `python -m module arguments` in an environment with this checkout; set up .venv if there is none.

    This process becomes the started one. It exits with 3 and one sentence if the set-up fails, and with 130 after
    Ctrl-C.

    Args:
        extras: optional dependencies that .venv must have.
        probes: modules that show that an interpreter has these dependencies.
    """
    try:
        python = interpreter(extras, probes)
    except SetupFault as fault:
        print(f"foliolab: {fault}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("\nfoliolab: set-up interrupted; the next start begins again.", file=sys.stderr)
        sys.exit(130)
    os.execv(python, [python, SAFE, "-m", module, *arguments])


def interpreter(extras: Iterable[str], probes: Iterable[str]) -> str:
    """The Python to start: this one if it has this checkout and the probes; else .venv's, after a set-up.

    Raises:
        SetupFault: .venv cannot be set up.
    """
    if not inside() and holds_checkout(probes):
        return sys.executable
    want = stamp_text(extras)
    if not is_ready(want):
        with alone():
            # Another start may have set up .venv while this one waited.
            if not is_ready(want):
                set_up(extras)
    return str(PYTHON)


def inside() -> bool:
    """Whether this interpreter is .venv's own."""
    return Path(sys.prefix).resolve() == HOME.resolve()


def holds_checkout(probes: Iterable[str]) -> bool:
    """Whether the running interpreter has this checkout and the probes.

    An importable folder is not enough: without an installation there are no entry points, and so no policies.
    """
    try:
        version("foliolab")
        spec = find_spec("foliolab")
        here = spec is not None and spec.origin is not None and Path(spec.origin).parents[2].resolve() == ROOT
        return here and all(find_spec(probe) for probe in probes)
    except (PackageNotFoundError, ImportError, IndexError):
        return False


def stamp_text(extras: Iterable[str]) -> str:
    """The stamp of a complete .venv: the path, a digest of the project's dependencies, the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # Only what pip reads: a changed setting of a linter does not need a new installation.
    parts = [project.get("build-system"), project.get("project"), project.get("tool", {}).get("hatch")]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return "\n".join([str(ROOT), digest, *sorted(extras)]) + "\n"


def read_stamp() -> list[str]:
    """The lines of the stamp; empty if it is missing or unreadable."""
    try:
        return STAMP.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def is_ready(want: str) -> bool:
    """Whether .venv has this checkout in its present state, with at least the wanted extras."""
    have, wanted = read_stamp(), want.splitlines()
    if have[:2] != wanted[:2] or not set(wanted[2:]) <= set(have[2:]) or not PYTHON.exists():
        return False
    # .venv survives an upgrade of the system's Python, but its packages are in a folder named by the old version.
    same = PYTHON.resolve() == Path(sys.executable).resolve()
    folder = f"python{sys.version_info[0]}.{sys.version_info[1]}" if same else "python*"
    return any(HOME.glob(f"lib/{folder}/site-packages/foliolab-*.dist-info"))


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of the set-up, so that two first starts do not write to one .venv; print a line while it waits."""
    # The folder of the checkout is locked: this leaves no file, and a cleared .venv does not remove the lock.
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("foliolab: waiting for another start that is setting up .venv ...", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # The file system has no locks; the set-up continues without one.
        yield
    finally:
        os.close(handle)


def set_up(extras: Iterable[str]) -> None:
    """Create .venv if it is missing or broken, install the project with its extras, and write the stamp.

    Raises:
        SetupFault: pip is missing or too old, the network or the disk fails, or the installation fails.
    """
    before = read_stamp()
    # Extras of earlier starts stay: `python3 gui` must not remove what `python3 tests` needs.
    kept = before[2:] if before[:1] == [str(ROOT)] else []
    together = sorted({*extras, *kept})
    anew = needs_making(before)
    if anew and inside():
        raise SetupFault(
            ".venv is broken, and its own Python cannot repair it; "
            "start again with the system's (such as /usr/bin/python3)."
        )
    pip = find_pip(anew)
    began = time.monotonic()
    print("foliolab: setting up .venv (once, about half a minute) ...", file=sys.stderr)
    try:
        if anew:
            make_venv(own_pip=pip[0] == str(PYTHON))
        install(pip, f"{ROOT}[{','.join(together)}]" if together else str(ROOT))
        STAMP.write_text(stamp_text(together), encoding="utf-8")
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SetupFault(DISK_FULL) from fault
        raise SetupFault(
            f"{HOME} cannot be written ({fault.strerror or fault}), so the project cannot be set up; "
            "make the folder writable and start again."
        ) from fault
    print(f"foliolab: .venv is ready ({time.monotonic() - began:.0f} s).", file=sys.stderr)


def needs_making(stamp: list[str]) -> bool:
    """Whether .venv must be created again: it is missing, unfinished, moved from another path, or broken."""
    if stamp and stamp[0] != str(ROOT):
        return True
    if not (HOME / "pyvenv.cfg").is_file():
        return True
    return not runs(["-c", PROBE])


def runs(arguments: Sequence[str]) -> bool:
    """Whether .venv's interpreter exits with 0 for the arguments."""
    try:
        return subprocess.run([PYTHON, SAFE, *arguments], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find_pip(anew: bool) -> list[str]:
    """The command that installs into .venv: this interpreter's pip, else .venv's own.

    Args:
        anew: whether .venv is created again; its own pip then comes from ensurepip.

    Raises:
        SetupFault: there is no usable pip.
    """
    have = pip_version()
    if have >= OLDEST_PIP:
        return [sys.executable, SAFE, "-m", "pip", "--python", str(PYTHON)]
    # Debian's venv has no ensurepip: there, the system's pip is the only one.
    if find_spec("ensurepip") is not None if anew else runs(["-m", "pip", "--version"]):
        return [str(PYTHON), SAFE, "-m", "pip"]
    if have:
        raise SetupFault(
            f"pip {have[0]}.{have[-1]} is too old, {OLDEST_PIP[0]}.{OLDEST_PIP[1]} or newer is needed; "
            "on Debian: apt-get install python3-venv, then start again."
        )
    raise SetupFault(
        "pip is missing and the first start needs it; on Debian: apt-get install python3-pip, then start again."
    )


def pip_version() -> tuple[int, ...]:
    """The first two numbers of the version of this interpreter's pip; empty without pip."""
    try:
        return tuple(int(part) for part in version("pip").split(".")[:2]) if find_spec("pip") else ()
    except (PackageNotFoundError, ValueError):
        return ()


def make_venv(own_pip: bool) -> None:
    """Create an empty .venv in place of the old one, and mark it unfinished.

    Raises:
        SetupFault: this Python has no venv module or cannot unpack its own pip, or venv refuses the path.
        OSError: the folder cannot be written.
    """
    try:
        import venv
    except ImportError as fault:
        raise SetupFault(
            "this Python lacks its venv module; on Debian: apt-get install python3-venv, then start again."
        ) from fault
    # A link to a folder stays, because the user chose that disk; a file or a broken link is removed.
    if HOME.is_file() or (HOME.is_symlink() and not HOME.exists()):
        HOME.unlink()
    try:
        venv.EnvBuilder(symlinks=True, clear=True, with_pip=False).create(HOME.resolve())
        # Written before the long steps, so that the next start recognizes an interrupted one.
        STAMP.write_text(UNFINISHED, encoding="utf-8")
        if own_pip:
            subprocess.run([PYTHON, "-I", "-m", "ensurepip"], check=True, capture_output=True)
    except ValueError as fault:
        raise SetupFault(f"no environment can be created in {ROOT} ({fault}); move the checkout.") from fault
    except subprocess.CalledProcessError as fault:
        raise SetupFault(
            "this Python cannot unpack its own pip; on Debian: apt-get install python3-pip, then start again."
        ) from fault


def install(pip: list[str], what: str) -> None:
    """Let pip install `what`, editable, into .venv; write its output to a log, and show progress.

    Raises:
        SetupFault: the installation failed; names the cause if it is known, else pip's last error and the log.
    """
    command = [*pip, "install", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
    # With these settings of the user, pip would install outside of .venv.
    outside = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_QUIET", "PYTHONPATH", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in outside}
    environment |= {"PIP_USER": "0", "PIP_NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    lines = [""]
    with (
        LOG.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            [*command, "-e", what],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as running,
    ):
        for line in running.stdout or ():
            log.write(line)
            lines.append(line.strip())
            show_progress(lines)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    if running.returncode:
        raise SetupFault(explain(lines))


def show_progress(lines: list[str]) -> None:
    """Show the progress that pip's last line means: in one line of a terminal; elsewhere, only long delays."""
    last = lines[-1]
    if "Retrying (" in last and not any("Retrying (" in line for line in lines[:-1]):
        print("foliolab: the package index does not answer, trying again ...", file=sys.stderr)
    found = sum(line.startswith("Collecting ") for line in lines)
    if last.startswith("Collecting "):
        text = f"fetching {re.split('[^A-Za-z0-9._-]', last.split()[1])[0]}, package {found}"
    elif last.startswith("Installing collected packages"):
        text = "installing the packages"
    else:
        return
    if sys.stderr.isatty():
        print(f"\r\x1b[Kfoliolab: {text}", end="", file=sys.stderr, flush=True)


def explain(lines: list[str]) -> str:
    """One sentence that says why pip failed, from its output."""
    words = "\n".join(lines)
    for signs, sentence in CAUSES:
        if any(sign in words for sign in signs):
            return sentence
    errors = [line for line in lines if line.lower().startswith("error:")]
    return f"pip could not set up .venv ({(errors or lines)[-1]}); its output is in {LOG}."
