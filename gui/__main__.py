"""`python3 gui [FILE... | options]`: set up what is missing, then do the main job.

Run as a folder this is a fresh machine's first command: at first the standard library is all there is.
"""

import os
import sys
from importlib import util
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  (this file is what an older Python gets to read)
    sys.stderr.write("foliolab: Python 3.11 or newer is needed; on Debian 12 or later: apt-get install python3.\n")
    sys.exit(3)

if not __package__:
    # Python put this folder first on the path: its modules must not stand in for the standard library's.
    del sys.path[0]
    spec = util.spec_from_file_location("bootstrap", Path(__file__).resolve().parents[1] / "framework" / "bootstrap.py")
    assert spec is not None and spec.loader is not None
    fresh = util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    # Without a display Qt, the largest part, would be fetched for nothing; options mean the headless comparison.
    screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    options = any(word.startswith("-") for word in sys.argv[1:])
    extras, more = (("gui",), ("PySide6", "pyqtgraph")) if screen and not options else ((), ())
    fresh.start("foliolab.gui", sys.argv[1:], extras=extras, probes=("msgspec", "numba", "numpy", "typer", *more))

from foliolab.gui.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
