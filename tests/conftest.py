"""What every test gets: folders of its own instead of the user's, and no deadline on examples.

Tests marked `machine`, and all of tests/kernel, run on one of xdist's workers, one after the other: they look at
the whole machine's folios, or change which sizes it hands out.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("PYTEST_QT_API", "pyside6")
try:
    import PySide6.QtWidgets  # noqa: F401

    NO_QT = ""
except ImportError as fault:  # the package, or a library of the system that it needs
    NO_QT = str(fault)
if not NO_QT:
    pytest_plugins = ["pytestqt.plugin"]  # not by its entry point, which fails the whole run where Qt cannot start

# The first example of a native test pays for the compiler. In CI hypothesis itself fixes the seed.
settings.register_profile("foliolab", settings(), deadline=None)
settings.load_profile("foliolab")

OWN_FOLDER = pytest.StashKey[Path]()
KERNEL = Path(__file__).parent / "kernel"
PR_SET_THP_DISABLE = 41


def pytest_configure(config: pytest.Config) -> None:
    """Give the session a configuration folder and a kernel cache of its own.

    One cache for the whole session, xdist's workers included (they inherit the variables): each kernel is
    compiled once. Who sets FOLIOLAB_CACHE keeps the kernels beyond the session.
    """
    if hasattr(config, "workerinput"):
        return
    folder = Path(tempfile.mkdtemp(prefix="foliolab-tests-"))
    config.stash[OWN_FOLDER] = folder
    os.environ["FOLIOLAB_CONFIG"] = str(folder / "config")
    os.environ["FOLIOLAB_DATA"] = str(folder / "data")
    os.environ.setdefault("FOLIOLAB_CACHE", str(folder / "cache"))
    os.environ.setdefault("FOLIOLAB_PLUGINS", "off")  # what else is installed is none of the tests' business


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's folder."""
    folder = config.stash.get(OWN_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("FOLIOLAB_CONFIG", "FOLIOLAB_DATA", "FOLIOLAB_CACHE"):
            if os.environ.get(name, "").startswith(str(folder)):
                del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of the host on one worker (xdist starts with the largest group); skip tests of Qt without Qt."""
    for item in items:
        if NO_QT and "qtbot" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=f"Qt cannot start here: {NO_QT}"))
        if item.path.is_relative_to(KERNEL):
            item.add_marker(pytest.mark.host)
        if item.get_closest_marker("host"):
            item.add_marker(pytest.mark.xdist_group("host"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Take no large folios beside a test of the host: some of these can only count all folios of the host.

    Engine memory and numpy's large arrays ask for huge pages, hence get whatever size such a test has enabled.
    """
    if hasattr(item.config, "workerinput") and sys.platform == "linux":
        alone = item.get_closest_marker("host") is not None
        ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, int(not alone), 0, 0, 0)
