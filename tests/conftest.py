"""What every test gets: folders of its own instead of the user's, and no deadline on examples."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# The first example of a native test pays for the compiler. In CI hypothesis itself fixes the seed.
settings.register_profile("foliolab", settings(), deadline=None)
settings.load_profile("foliolab")

OWN_FOLDER = pytest.StashKey[Path]()


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
