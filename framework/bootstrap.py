"""A fresh machine's first start: make .venv beside the code, install the project in it, start again there.

Standard library only: `gui/__main__.py` and `tests/__main__.py` load this file by its path before anything
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

# The first pip that installs into another interpreter's environment (--python).
OLDEST_PIP = (22, 3)
# What the stamp says from the making of .venv until its first complete installation.
UNFINISHED = "unfinished\n"
# Asks .venv's interpreter whether it still is one, and not too old.
PROBE = "import sys; sys.exit(sys.prefix == sys.base_prefix or sys.version_info[:2] < (3, 11))"

DISK_FULL = "the disk is full, so .venv could not be set up; make room (about 1 GB) and start again."
# Words of pip that tell why it failed, and the sentence for each cause; the first that fits is said.
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
    """The set-up cannot go on; the text is one sentence that says why and what to do."""


def start(module: str, arguments: Sequence[str], extras: Iterable[str], probes: Iterable[str]) -> NoReturn:
    """Run `python -m module arguments` where this checkout is installed; set up .venv if it is nowhere.

    extras: the optional dependencies that .venv must hold; probes: the modules by which an interpreter that
    already holds this checkout shows that it has them. Does not return: the process becomes the started one,
    or exits with 3 and one sentence where the set-up is impossible, with 130 where the user broke it off.
    """
    try:
        python = interpreter(extras, probes)
    except SetupFault as fault:
        print(f"foliolab: {fault}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("\nfoliolab: set-up interrupted; the next start begins it anew.", file=sys.stderr)
        sys.exit(130)
    # -P: the current folder must not lend modules; in a checkout it would lend a second `framework`.
    os.execv(python, [python, "-P", "-m", module, *arguments])


def interpreter(extras: Iterable[str], probes: Iterable[str]) -> str:
    """The Python to start: this one where it holds this checkout and the probes, else .venv's, made ready.

    Raises SetupFault where .venv cannot be made ready.
    """
    if not inside() and holds_checkout(probes):
        return sys.executable
    want = stamp_text(extras)
    if not is_ready(want):
        with alone():
            # Another start may have done it while this one waited.
            if not is_ready(want):
                set_up(extras)
    return str(PYTHON)


def inside() -> bool:
    """Whether this interpreter is .venv's own."""
    return Path(sys.prefix).resolve() == HOME.resolve()


def holds_checkout(probes: Iterable[str]) -> bool:
    """Whether the running interpreter has this checkout installed, and the probes.

    An importable folder is not enough: without the installation there are no entry points, hence no policies.
    """
    try:
        version("foliolab")
        spec = find_spec("foliolab")
        here = spec is not None and spec.origin is not None and Path(spec.origin).parents[2].resolve() == ROOT
        return here and all(find_spec(probe) for probe in probes)
    except (PackageNotFoundError, ImportError, IndexError):
        return False


def stamp_text(extras: Iterable[str]) -> str:
    """What the stamp of a complete .venv says: the place, what the project asks for, the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # Only what pip reads: a linter's setting is no reason to install again.
    parts = [project.get("build-system"), project.get("project"), project.get("tool", {}).get("hatch")]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return "\n".join([str(ROOT), digest, *sorted(extras)]) + "\n"


def read_stamp() -> list[str]:
    """The stamp's lines; none where there is no stamp or it cannot be read."""
    try:
        return STAMP.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def is_ready(want: str) -> bool:
    """Whether .venv holds this checkout as it now is, with at least the wanted extras."""
    have, wanted = read_stamp(), want.splitlines()
    if have[:2] != wanted[:2] or not set(wanted[2:]) <= set(have[2:]) or not PYTHON.exists():
        return False
    # .venv outlives an upgrade of the system's Python, but its packages lie in a folder named by version.
    same = PYTHON.resolve() == Path(sys.executable).resolve()
    folder = f"python{sys.version_info[0]}.{sys.version_info[1]}" if same else "python*"
    return any(HOME.glob(f"lib/{folder}/site-packages/foliolab-*.dist-info"))


@contextmanager
def alone() -> Iterator[None]:
    """Hold the set-up's lock, so that two first starts do not build one .venv; say so where it waits."""
    # The checkout's folder itself is locked: no file is left over, and clearing .venv cannot break the lock.
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("foliolab: waiting for another start that is setting up .venv ...", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # A file system without locks: better unguarded than not at all.
        yield
    finally:
        os.close(handle)


def set_up(extras: Iterable[str]) -> None:
    """Make .venv if it is missing or broken, install the project with its extras, and stamp it.

    Raises SetupFault, in one sentence, where pip is missing or too old, the network or the disk does not
    serve, or the installation fails.
    """
    before = read_stamp()
    # What an earlier start asked for stays: `python3 gui` must not take away what `python3 tests` needs.
    kept = before[2:] if before[:1] == [str(ROOT)] else []
    together = sorted({*extras, *kept})
    anew = needs_making(before)
    if anew and inside():
        raise SetupFault(
            ".venv is broken and this is its own Python, which cannot mend it; "
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
    """Whether .venv must be made anew: missing, left half-made, moved here from elsewhere, or dead."""
    if stamp and stamp[0] != str(ROOT):
        return True
    if not (HOME / "pyvenv.cfg").is_file():
        return True
    return not runs(["-c", PROBE])


def runs(arguments: Sequence[str]) -> bool:
    """Whether .venv's interpreter starts and exits with 0 on the arguments."""
    try:
        return subprocess.run([PYTHON, *arguments], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find_pip(anew: bool) -> list[str]:
    """The command that installs into .venv: this interpreter's pip, else .venv's own.

    anew: whether .venv is to be made anew, its own pip then coming from ensurepip.
    Raises SetupFault where no usable pip can be had.
    """
    have = pip_version()
    if have >= OLDEST_PIP:
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    # Debian ships venv without ensurepip: there the system's pip is the only one.
    if find_spec("ensurepip") is not None if anew else runs(["-m", "pip", "--version"]):
        return [str(PYTHON), "-m", "pip"]
    if have:
        raise SetupFault(
            f"pip {have[0]}.{have[-1]} is too old, {OLDEST_PIP[0]}.{OLDEST_PIP[1]} or newer is needed; "
            "on Debian: apt-get install python3-venv, then start again."
        )
    raise SetupFault(
        "pip is missing and the first start needs it; on Debian: apt-get install python3-pip, then start again."
    )


def pip_version() -> tuple[int, ...]:
    """The first two numbers of this interpreter's pip; none where there is no pip."""
    try:
        return tuple(int(part) for part in version("pip").split(".")[:2]) if find_spec("pip") else ()
    except (PackageNotFoundError, ValueError):
        return ()


def make_venv(own_pip: bool) -> None:
    """Make an empty .venv, in place of whatever is there, and mark it unfinished.

    Raises SetupFault where this Python has no venv module or cannot unpack its own pip, or the folder's name
    does not do; OSError where nothing can be written.
    """
    try:
        import venv
    except ImportError as fault:
        raise SetupFault(
            "this Python lacks its venv module; on Debian: apt-get install python3-venv, then start again."
        ) from fault
    # A link to a folder is the user's choice of a disk and stays; a file or a dangling link is in the way.
    if HOME.is_file() or (HOME.is_symlink() and not HOME.exists()):
        HOME.unlink()
    try:
        venv.EnvBuilder(symlinks=True, clear=True, with_pip=False).create(HOME.resolve())
        # Before anything long: a start that is broken off after this is recognised by the next one.
        STAMP.write_text(UNFINISHED, encoding="utf-8")
        if own_pip:
            subprocess.run([PYTHON, "-m", "ensurepip"], check=True, capture_output=True)
    except ValueError as fault:
        raise SetupFault(f"no environment can stand in {ROOT} ({fault}); move the checkout.") from fault
    except subprocess.CalledProcessError as fault:
        raise SetupFault(
            "this Python cannot unpack its own pip; on Debian: apt-get install python3-pip, then start again."
        ) from fault


def install(pip: list[str], what: str) -> None:
    """Let pip install `what`, editable, into .venv; its words go to a log there, to the reader as progress.

    Raises SetupFault with the cause where pip's words tell it, else with its last error and the log's place.
    """
    command = [*pip, "install", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
    # A user's own settings may say "user" or "target", and would lead past .venv.
    leads_astray = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_QUIET", "PYTHONPATH", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in leads_astray}
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
    """Tell the reader what pip's last line means: a rewritten line on a terminal, elsewhere only a delay."""
    last = lines[-1]
    if "Retrying (" in last and not any("Retrying (" in line for line in lines[:-1]):
        print("foliolab: the package index does not answer, trying again ...", file=sys.stderr)
    found = sum(line.startswith("Collecting ") for line in lines)
    if last.startswith("Collecting "):
        said = f"fetching {re.split('[^A-Za-z0-9._-]', last.split()[1])[0]}, package {found}"
    elif last.startswith("Installing collected packages"):
        said = "installing the packages"
    else:
        return
    if sys.stderr.isatty():
        print(f"\r\x1b[Kfoliolab: {said}", end="", file=sys.stderr, flush=True)


def explain(lines: list[str]) -> str:
    """One sentence on why pip failed, from its words."""
    words = "\n".join(lines)
    for signs, sentence in CAUSES:
        if any(sign in words for sign in signs):
            return sentence
    errors = [line for line in lines if line.lower().startswith("error:")]
    return f"pip could not set up .venv ({(errors or lines)[-1]}); all it said is in {LOG}."
