"""What every test gets: folders of its own instead of the user's, and no deadline on examples.

Tests marked `host`, and all of tests/kernel, run on one of xdist's workers, one after the other: they look at
all folios of the host, or change which sizes it hands out.
"""

from __future__ import annotations

import compileall
import ctypes
import gc
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
OWN_CACHE = pytest.StashKey[bool]()
A_WEEK = 7 * 24 * 3600.0
KERNEL = Path(__file__).parent / "kernel"
ROOMS = [Path(__file__).parents[1] / room for room in ("framework", "gui", "policies", "workloads")]
PR_SET_THP_DISABLE = 41


def pytest_configure(config: pytest.Config) -> None:
    """Give the session folders of its own for configuration and data, and keep native code beyond it.

    xdist's workers inherit the variables, so an entry point is compiled once. Later sessions find it in pytest's
    cache: a file's name is the hash of everything that went into it, so a stale file is never used. Files that no
    session has read for a week are removed.
    """
    # A shell's background job begins with SIGINT ignored, and so would every command that a test interrupts.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):
        _rewrite_a_part(config)
        return
    # Some hundred commands start in processes of their own. PYTHONDONTWRITEBYTECODE, which containers often set, would
    # have each of them compile the source again: a quarter of the time of a short command.
    for room in ROOMS:
        compileall.compile_dir(room, quiet=2)
    folder = Path(tempfile.mkdtemp(prefix="foliolab-tests-"))
    config.stash[OWN_FOLDER] = folder
    os.environ["FOLIOLAB_CONFIG"] = str(folder / "config")
    os.environ["FOLIOLAB_DATA"] = str(folder / "data")
    if "FOLIOLAB_CACHE" not in os.environ:
        os.environ["FOLIOLAB_CACHE"] = str(_kept_native_code(config) or folder / "cache")
        config.stash[OWN_CACHE] = True
    os.environ.setdefault("FOLIOLAB_PLUGINS", "off")  # what else is installed is none of the tests' business


def _rewrite_a_part(config: pytest.Config) -> None:
    """Rewrite the asserts of one worker's part of the test files, for all workers.

    Each worker collects every file. To rewrite one takes longer than to import it, and PYTHONDONTWRITEBYTECODE keeps
    pytest from writing down what it has rewritten. If a release of pytest has other private parts, nothing is gained.
    """
    with suppress(ImportError, AttributeError, TypeError, OSError):
        from _pytest.assertion import rewrite

        state = config.stash[rewrite.assertstate_key]
        told: dict[str, Any] = vars(config)["workerinput"]
        number, count = int(told["workerid"].removeprefix("gw")), told["workercount"]
        for file in sorted(found for named in _named(config) for found in named.rglob("test_*.py"))[number::count]:
            folder = rewrite.get_cache_dir(file)
            written = folder / f"{file.stem}{rewrite.PYC_TAIL}"
            if rewrite.try_makedirs(folder) and rewrite._read_pyc(file, written) is None:
                stat, code = rewrite._rewrite_test(file, config)
                rewrite._write_pyc(state, code, stat, written)


def _named(config: pytest.Config) -> list[Path]:
    """The folders of tests that were asked for."""
    return [folder for folder in {config.rootpath / one for one in config.args} if folder.is_dir()]


def _kept_native_code(config: pytest.Config) -> Path | None:
    """The folder in pytest's cache, without files that are not in use; None where pytest keeps no cache."""
    if not hasattr(config, "cache"):
        return None
    folder = config.cache.mkdir("foliolab-native")
    for file in folder.glob("*/*"):
        with suppress(OSError):  # another session may remove it, too
            if time.time() - max(file.stat().st_atime, file.stat().st_mtime) > A_WEEK:
                file.unlink()
    return folder


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's folder."""
    folder = config.stash.get(OWN_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("FOLIOLAB_CONFIG", "FOLIOLAB_DATA", *(["FOLIOLAB_CACHE"] if OWN_CACHE in config.stash else [])):
            os.environ.pop(name, None)


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of the host on one worker (xdist starts with the largest group); skip tests of Qt without Qt."""
    for item in items:
        if NO_QT and "qtbot" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=f"Qt cannot start here: {NO_QT}"))
        if item.path.is_relative_to(KERNEL):
            item.add_marker(pytest.mark.host)
        if item.get_closest_marker("host"):
            item.add_marker(pytest.mark.xdist_group("host"))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what the whole session keeps: modules and test items.

    The end of each window collects all garbage. No test has run yet, so no test's memory is passed over.
    """
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than processors: tests wait a fifth of their time, for recorders, clusters and windows."""
    from foliolab.framework import host  # not above: coverage begins before anything of the project is imported

    return host.cores() + 1


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Take no large folios beside a test of the host: some of these can only count all folios of the host.

    Engine memory and numpy's large arrays ask for huge pages, hence get whatever size such a test has enabled.
    """
    if hasattr(item.config, "workerinput") and sys.platform == "linux":
        alone = item.get_closest_marker("host") is not None
        ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, int(not alone), 0, 0, 0)


@pytest.fixture(scope="module")
def examples() -> Any:
    """The plugins of the documentation's tutorial, as a module that writes them."""
    spec = importlib.util.spec_from_file_location(
        "foliolab_plugin_examples", Path(__file__).with_name("plugin_examples.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def is_known() -> Callable[[Any], bool]:
    """Whether a finding is the refutation of shipped schemes that docs/findings.md is about.

    An attack finds it in a policy with a count per page if the host is quick enough.
    """

    def known(finding: Any) -> bool:
        return finding.counterexample is not None and finding.counterexample.law == "statistics"

    return known


@pytest.fixture(scope="session")
def computing_time() -> Any:
    """A class of budgets of processor time: a busy host gives an attack no less of it, and an idle one no more.

    Only for attacks that run in the process of the test.
    """
    from foliolab.framework.verify.attack import Budget

    @dataclass
    class ComputingTime(Budget):
        started: float = field(default_factory=time.process_time)

        @property
        def left(self) -> float:
            return 0.0 if self.stop.is_set() else max(self.started + self.seconds - time.process_time(), 0.0)

        def part(self, share: float) -> Budget:
            return ComputingTime(self.left * share, self.memory, self.seed, self.stop)

    return ComputingTime


@pytest.fixture(scope="session")
def until_refuted() -> Callable[..., list[Any]]:
    """Runs an attack on a policy, which ends with its first refutation: not with the seconds that a busy host gets."""
    from foliolab.framework.verify.attack import Budget
    from foliolab.framework.verify.finding import Finding

    def run(attack: Any, scheme: Any, seconds: float, memory: int) -> list[Any]:
        stop = threading.Event()

        def tell(news: object) -> None:
            if isinstance(news, Finding):
                stop.set()

        found: list[Any] = attack.run(scheme, Budget(seconds, memory, stop=stop), tell)
        return found

    return run
