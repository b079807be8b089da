"""FolioLab: a workbench for schemes that track who owns a large folio."""

import sys

# `python -m foliolab…` puts the current folder first on the path, and whoever can write there could stand in for any
# module. While Python looks for the module to run, the first argument is "-m"; the word before the arguments names it.
_BY_NAME = sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)].removeprefix("-m").partition(".")[0] == __name__
if _BY_NAME and not sys.flags.safe_path:
    del sys.path[0]
if _BY_NAME:
    from foliolab.framework.start import end_quietly

    end_quietly()
