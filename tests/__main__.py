"""`python3 tests [pytest arguments]`: set up what the tests need, then run them.

Paths count from the repository, wherever this is called.
"""

import os
import sys
from importlib import util
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  (this file is what an older Python gets to read)
    sys.stderr.write("foliolab: Python 3.11 or newer is needed; on Debian 12 or later: apt-get install python3.\n")
    sys.exit(3)

if __name__ == "__main__":
    # Python put this folder first on the path: its modules must not stand in for the standard library's.
    del sys.path[0]
    root = Path(__file__).resolve().parents[1]
    os.chdir(root)
    spec = util.spec_from_file_location("fresh", root / "framework" / "fresh.py")
    assert spec is not None and spec.loader is not None
    fresh = util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    # A process of its own for pytest: coverage must start before anything of the project is imported.
    fresh.start("pytest", sys.argv[1:], extras=("dev",), probes=("pytest", "hypothesis", "importlinter", "xdist"))
