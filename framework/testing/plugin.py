"""The pytest plugin: options, fixtures, limits and the summary of comparisons.

pytest imports this module in every run of every project, so that it imports nothing slow before a test needs it.
The options parametrize the fixtures: --policy `policy`, --workload `workload`, the execution `engine`, --sizes and
--seeds `compare`. A project's own fixture of such a name replaces the fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.contract.workload import Workload
    from foliolab.framework.engine.machine import Machine
    from foliolab.framework.testing.comparer import Comparer
    from foliolab.framework.testing.verdict import Files

RESULTS: Final = pytest.StashKey[list[str]]()
"""The results of a test's comparisons, as JSON."""
BROKEN: Final = pytest.StashKey[list[str]]()
"""A line for each limit that a test's comparisons broke."""
_CARRIED: Final = "foliolab_results"
"""The attribute of a test's report that carries results, also from the workers of pytest-xdist."""

OPTIONS: Final = (
    ("--policy", dict(action="append", metavar="POLICY", help=(
        "compare or test this policy: NAME, NAME:parameter=value, FILE.py, FILE.py::NAME, FILE.c, tree:PATH "
        "or module:attr; may be repeated [all]"))),
    ("--workload", dict(action="append", metavar="NAME", help="compare under this workload; may be repeated [all]")),
    ("--sizes", dict(metavar="LIST", default="64K", help="folio sizes of comparisons, such as 16K,64K [64K]")),
    ("--seeds", dict(metavar="LIST", default="1", help="seeds of comparisons, such as 1,2,3 [1]")),
    ("--baseline-policy", dict(metavar="POLICY", help="the policy that the others are compared with [the first]")),
    ("--baseline", dict(metavar="FILE", help=(
        "fail where a counted metric is worse than in this result file (times of another run are not compared)"))),
    ("--compare-report", dict(metavar="DIR", help="write the results there as JSON and CSV")),
    ("--compare-fail", dict(action="append", metavar="METRIC:LIMIT", help=(
        "fail where METRIC is more than LIMIT worse than the baseline's, such as atomics:0, loads:10%% or time:5%%"))),
)  # fmt: skip

_ASKS: Final = ("--baseline", "--compare-report", "--compare-fail")
"""Options that ask for a comparison."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of comparisons."""
    group = parser.getgroup("foliolab", "FolioLab: schemes that track who owns a large folio")
    for name, how in OPTIONS:
        group.addoption(name, dest=_dest(name), **how)


def _dest(option: str) -> str:
    return "foliolab_" + option.removeprefix("--").replace("-", "_")


def pytest_configure(config: pytest.Config) -> None:
    """Gather results in the main process, which shows them."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Gatherer(config), "foliolab-gatherer")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize FolioLab's fixtures that a test uses."""
    wanted = [name for name in metafunc.fixturenames if name.startswith("foliolab_")]
    if not wanted:
        return
    from foliolab.framework.testing import choices

    for name in wanted:
        if name in choices.OF:
            values, ids = choices.OF[name](metafunc.config)
            metafunc.parametrize(name, values, ids=ids, indirect=True)


# -- fixtures ----------------------------------------------------------------------------------------
def _parametrized() -> Any:
    """A fixture whose value is the parameter that `pytest_generate_tests` sets."""

    @pytest.fixture
    def chosen(request: pytest.FixtureRequest) -> Any:
        return request.param

    return chosen


foliolab_policy = _parametrized()
foliolab_workload = _parametrized()
foliolab_execution = _parametrized()
foliolab_size = _parametrized()
foliolab_seed = _parametrized()


@pytest.fixture
def policy(foliolab_policy: Scheme) -> Scheme:
    """Each policy of --policy."""
    return foliolab_policy


@pytest.fixture
def workload(foliolab_workload: Workload) -> Workload:
    """Each workload of --workload."""
    return foliolab_workload


@pytest.fixture
def engine(policy: Scheme, foliolab_execution: str) -> Machine:
    """A fresh machine of 512 frames and four MMs of 64 pages that runs `policy`, interpreted and native."""
    from foliolab.framework.testing import choices

    return choices.machine(policy, foliolab_execution)


@pytest.fixture
def compare(request: pytest.FixtureRequest, foliolab_size: int, foliolab_seed: int) -> Comparer:
    """Compare the policies under a workload: `rows = compare(workload)`."""
    from foliolab.framework.testing.comparer import Comparer

    return Comparer(request.node, request.config, foliolab_size, foliolab_seed)


# -- limits ----------------------------------------------------------------------------------------
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse wrong options before the first test."""
    if _chosen(session.config):
        from foliolab.framework.testing import choices
        from foliolab.framework.testing.gates import Gates

        with _usage():
            choices.check(session.config)
            Gates.of(session.config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse what shows when modules can be imported. With pytest-xdist, a test or the end of the run says so."""
    config = session.config
    if not _chosen(config) or config.getoption("collectonly"):
        return
    from foliolab.framework.testing import choices

    with _usage():
        choices.selection(config)
    asked = next((name for name in _ASKS if config.getoption(_dest(name))), "")
    if asked and not any("compare" in getattr(item, "fixturenames", ()) for item in session.items):
        raise pytest.UsageError(f"{asked}: no chosen test has the fixture `compare`, so nothing would be measured")


def _chosen(config: pytest.Config) -> bool:
    """Whether an option is given, and this is no worker of pytest-xdist: there, the main process reads the options."""
    given = any(config.getoption(_dest(name)) != how.get("default") for name, how in OPTIONS)
    return given and not hasattr(config, "workerinput")


@contextmanager
def _usage() -> Iterator[None]:
    """Turn FolioLab's errors into pytest's for a wrong command line."""
    from foliolab.framework.errors import FolioLabError
    from foliolab.framework.escaping import visible

    try:
        yield
    except FolioLabError as fault:
        raise pytest.UsageError(visible(str(fault))) from fault


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test whose comparisons broke a limit. All its comparisons are made first."""
    try:
        returned = yield
    except BaseException:
        if broken := item.stash.get(BROKEN, []):
            item.add_report_section("call", "FolioLab", _visible(broken))
        raise
    if broken := item.stash.get(BROKEN, []):
        pytest.fail(_visible(broken), pytrace=False)
    return returned


def _visible(lines: list[str]) -> str:
    """Lines that may have names of plugins and files, without control characters."""
    from foliolab.framework.escaping import visible

    return visible("\n".join(lines))


# -- results ---------------------------------------------------------------------------------------
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach a test's results to its report."""
    report = yield
    if report.when == "call" and RESULTS in item.stash:
        setattr(report, _CARRIED, item.stash[RESULTS])
    return report


class _Gatherer:
    """Collect the results of all tests, and show them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.texts: list[str] = []
        self.lines: list[str] = []
        self._files: Files | None = None

    @property
    def files(self) -> Files:
        """The files of --compare-report; made when they are needed, since pytest starts without this package."""
        if self._files is None:
            from foliolab.framework.testing.verdict import Files

            self._files = Files(Path(self.config.getoption("foliolab_compare_report") or "."))
        return self._files

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if more := getattr(report, _CARRIED, ()):
            self.texts += more
            if self.config.getoption("foliolab_compare_report"):
                self.files.partial(self.texts)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Make the table and the files. What concerns no single test becomes a failed one of its own.

        A run that was refused or interrupted before its first comparison has nothing to judge.
        """
        asked = any(self.config.getoption(_dest(name)) for name in _ASKS)
        done = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self.config.getoption("collectonly") or not (self.texts or (asked and done)):
            return
        from foliolab.framework.testing import verdict

        found = verdict.judge(self.texts, self.config, self.files, done)
        self.lines = found.lines
        for title, text in found.failures:
            self._fail(title, text)
        if found.failures and done:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _fail(self, title: str, text: str) -> None:
        """Report a failed test that is none of the project's, for the terminal and the JUnit file."""
        at = f"FolioLab::{title}"
        for when, outcome in (("call", "failed"), ("teardown", "passed")):
            report = pytest.TestReport(at, ("FolioLab", None, title), {}, outcome, _visible([text]), when)  # type: ignore[arg-type]
            self.config.hook.pytest_runtest_logreport(report=report)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.lines:
            return
        terminalreporter.section("FolioLab")
        for text in self.lines:
            terminalreporter.write_line(_visible([text]))
