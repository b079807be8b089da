"""`python3 tests [pytest arguments]`: set up what the tests need, then run them, on all processors.

What names a file or a test (`.py`), asks for output or the debugger (`-s`, `--pdb`, `--trace`), or says itself how
tests are handed out (`-n`, `--dist`, `-p no:xdist`) is run as pytest alone would. Paths count from the repository,
wherever this is called.
"""

import os
import sys
from importlib import util
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  (this file is what an older Python gets to read)
    sys.stderr.write("foliolab: Python 3.11 or newer is needed; on Debian 12 or later: apt-get install python3.\n")
    sys.exit(3)

WORKERS = 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""One more than processors: every fourth second of a worker is a wait, for a child or for the window."""
ON_ALL_PROCESSORS = ("-n", str(WORKERS), "--dist", "loadgroup")
"""For pytest-xdist; groups, since some tests must not run beside each other (see conftest.py)."""
IN_THIS_PROCESS = ("-n", "--numprocesses", "--dist", "--pdb", "--trace", "-s", "--capture=no")


def handed_out(arguments: list[str]) -> list[str]:
    """Pytest's arguments, with those that use all processors where nothing speaks against it."""
    plain = any(".py" in one or "xdist" in one or one.startswith(IN_THIS_PROCESS) for one in arguments)
    return arguments if plain else [*ON_ALL_PROCESSORS, *arguments]


if __name__ == "__main__":
    # Python put this folder first on the path: its modules must not stand in for the standard library's.
    del sys.path[0]
    root = Path(__file__).resolve().parents[1]
    os.chdir(root)
    spec = util.spec_from_file_location("bootstrap", root / "framework" / "bootstrap.py")
    assert spec is not None and spec.loader is not None
    fresh = util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    # A process of its own for pytest: coverage must start before anything of the project is imported.
    probes = ("pytest", "hypothesis", "importlinter", "xdist")
    fresh.start("pytest", handed_out(sys.argv[1:]), extras=("dev",), probes=probes)
