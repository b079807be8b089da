"""`python3 gui [FILE... | options]`: install what is missing, then open the window or run the comparison.

`python3 gui` may be the first command on a fresh host, so this module uses only the standard library until the
bootstrap has installed the rest.
"""

import os
import sys
from importlib import util
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  (an older Python reads this file, too)
    sys.stderr.write("foliolab: Python 3.11 or newer is needed; on Debian 12 or later: apt-get install python3.\n")
    sys.exit(3)

if not __package__:
    # Python puts this folder first on the path, where its modules would hide modules of the standard library.
    del sys.path[0]
    spec = util.spec_from_file_location("bootstrap", Path(__file__).resolve().parents[1] / "framework" / "bootstrap.py")
    assert spec is not None and spec.loader is not None
    bootstrap = util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    # Qt is the largest download. Without a display, or with options of the headless comparison, it is not needed.
    screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    options = any(word.startswith("-") for word in sys.argv[1:])
    extras, more = (("gui",), ("PySide6", "pyqtgraph")) if screen and not options else ((), ())
    bootstrap.start("foliolab.gui", sys.argv[1:], extras=extras, probes=("msgspec", "numba", "numpy", "typer", *more))

from foliolab.gui.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
