"""The pytest plugin, as its user runs it: options, fixtures, the summary, limits, xdist; and what it leaves alone."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.framework.errors import UsageError
from foliolab.framework.results.comparison import Row
from foliolab.framework.results.result import Result
from foliolab.framework.testing.gates import Gates, Limit

pytestmark = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
MINE = """
from dataclasses import replace
from foliolab.framework.api import atomic_read, load
from foliolab.policies import mm_id

def maybe_mapped_shared(folio):
    return False

POLICY = replace(
    mm_id.POLICY, name="mine", models=None, mutants=None,
    hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared),
)
"""
WITHOUT = ("-p", "no:cacheprovider", "-p", "no:pytest-qt", "-p", "no:hypothesispytest")
"""Plugins of others, whose start takes three times as long as that of pytest with this one."""
COMPARE = "def test_it(compare):\n    assert compare('munmap', memory='1M', repeats=3)\n"


def run(folder: Path, text: str, *arguments: str) -> tuple[int, str]:
    (folder / "mine.py").write_text(MINE)
    (folder / "test_it.py").write_text(text)
    words = [sys.executable, "-m", "pytest", "-q", "-rA", "-c", "/dev/null", *WITHOUT, *arguments]
    done = subprocess.run(
        [*words, "--rootdir", str(folder), "test_it.py"], capture_output=True, text=True, cwd=folder, timeout=200,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_it_is_there_without_numba_qt_or_numpy() -> None:
    code = (
        "import sys, foliolab.framework.testing.plugin\n"
        "print(sorted({'numba', 'numpy', 'PySide6', 'rich', 'z3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_fixtures_have_readable_ids(tmp_path: Path) -> None:
    code, out = run(
        tmp_path, "def test_it(policy, workload, engine):\n    engine.create(0)\n    assert engine.scheme is policy\n",
        "--policy", "mm-id-slots:slots=3", "--policy", "mine.py::mine", "--workload", "munmap", "--collect-only",
    )  # fmt: skip
    assert code == 0
    for policy in ("mm-id-slots:slots=3", "mine"):
        for execution in ("interpreted", "native"):
            assert re.search(rf"test_it\[[^\]]*{re.escape(policy)}[^\]]*\]", out) and execution in out
    assert "munmap" in out


def test_a_projects_own_fixture_goes_first(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.fixture\ndef policy():\n    return 7\ndef test_it(policy):\n    assert policy == 7\n"
    code, out = run(tmp_path, text)
    assert code == 0 and "1 passed" in out


def test_a_comparison_is_shown_written_and_in_the_junit_file(tmp_path: Path) -> None:
    code, out = run(
        tmp_path, COMPARE, "--policy", "mine.py", "--baseline-policy", "page-mapcount", "--sizes", "16K,64K",
        "--compare-report", "out", "--junitxml", "j.xml",
    )  # fmt: skip
    assert code == 0, out
    assert out.count("baseline") == 2 and "mine" in out
    found = Result.load(tmp_path / "out" / "seed1.json")
    assert found.config.sizes == [16, 64] and found.config.policies == ["page-mapcount", "mine"]
    assert len((tmp_path / "out" / "seed1.csv").read_text().splitlines()) == 5
    names = {one.get("name") for one in ElementTree.parse(tmp_path / "j.xml").iter("property")}
    assert "foliolab.munmap.16K.mine.atomics" in names


def test_results_come_from_the_workers_of_xdist(tmp_path: Path) -> None:
    code, out = run(tmp_path, COMPARE, "--policy", "page-mapcount", "--policy", "mm-id", "--seeds", "1,2", "-n", "2",
                    "--compare-report", "out")  # fmt: skip
    assert code == 0, out
    assert Result.load(tmp_path / "out" / "seed1.json").complete and (tmp_path / "out" / "seed2.json").is_file()


WRITTEN = f"""
from msgspec.structs import replace
from foliolab.framework.results.result import Result
from foliolab.framework.run import supervise

WHOLE = Result.load({str(Path(__file__).parents[1] / "report" / "first.json")!r})

def measured(request):
    names, works, sizes = list(request.policies), list(request.workloads), [4 << order for order in request.orders]
    cells = [one for one in WHOLE.cells if one.policy in names and one.workload in works and one.size_kib in sizes]
    config = replace(WHOLE.config, policies=names, baseline=request.baseline, workloads=works, sizes=sizes,
                     seed=request.seed, policy_parameters={{}})
    return replace(WHOLE, config=config, cells=cells)

supervise.compare_run = measured
"""
"""A conftest.py whose comparisons come from a result file, so that nothing is measured."""
GATED = """
def test_several_comparisons(compare):
    compare('munmap')
    compare('fork')

def test_a_failure_of_its_own(compare):
    assert not compare('munmap')

def test_after_it(compare):
    pass
"""
MORE_ATOMICS = ("--policy", "page-mapcount", "--baseline-policy", "no-page-mapcount", "--compare-fail", "atomics:0")


def test_counted_metrics_gate_exactly(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(WRITTEN)
    code, out = run(tmp_path, COMPARE, "--policy", "page-mapcount", "--baseline-policy", "no-page-mapcount",
                    "--compare-fail", "atomics:0", "--compare-report", "out")  # fmt: skip
    assert code == 1 and "atomics: page-mapcount under munmap at 64 KiB, seed 1" in out and "1 failed" in out
    code, out = run(tmp_path, COMPARE, "--policy", "page-mapcount", "--baseline-policy", "no-page-mapcount",
                    "--compare-fail", "atomics:100", "--baseline", "out/seed1.json")  # fmt: skip
    assert code == 0, out
    text = (tmp_path / "out" / "seed1.json").read_text()
    worse = re.sub(r'"atomics": ?([0-9.]+)', '"atomics":0.5', text)
    assert worse != text
    (tmp_path / "before.json").write_text(worse)
    code, out = run(tmp_path, COMPARE, "--policy", "page-mapcount", "--baseline-policy", "no-page-mapcount",
                    "--baseline", "before.json")  # fmt: skip
    assert code == 1 and "the result file has 0.5" in out and "1 failed" in out


def test_a_broken_limit_is_a_failed_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(WRITTEN)
    code, out = run(tmp_path, GATED, *MORE_ATOMICS, "--junitxml", "j.xml")
    assert code == 1 and "2 failed, 1 passed" in out, out
    cases = {one.get("name"): one for one in ElementTree.parse(tmp_path / "j.xml").iter("testcase")}
    failure = cases["test_several_comparisons[64K-seed1]"].find("failure")
    assert failure is not None and failure.text is not None
    lines = failure.text.splitlines()
    assert [line.split(" at ")[0] for line in lines] == [
        f"atomics: page-mapcount under {w}" for w in ("munmap", "fork")
    ]
    assert re.search(r"Captured FolioLab call -+\s+atomics: page-mapcount under munmap", out)
    code, out = run(tmp_path, GATED, *MORE_ATOMICS, "-x")
    assert code == 1 and "1 failed" in out and "passed" not in out.rsplit("\n", 2)[-2]


def test_workers_gate_too_and_warn_of_times(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(WRITTEN)
    code, out = run(tmp_path, GATED, *MORE_ATOMICS, "-n", "2", "--seeds", "1,2", "--junitxml", "j.xml")
    assert code == 1 and "4 failed, 2 passed" in out, out
    assert "workers of pytest-xdist measure at once" in out and "measure times without -n" in out
    assert re.search(r"^workload +size +seed +policy", out, re.MULTILINE)
    assert len(re.findall(r"^munmap +64K +2 +page-mapcount", out, re.MULTILINE)) == 2
    assert next(ElementTree.parse(tmp_path / "j.xml").iter("testsuite")).get("failures") == "4"


def test_what_concerns_no_test_is_a_failed_test_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(WRITTEN)
    code, out = run(tmp_path, "def test_it(compare):\n    pass\n", *MORE_ATOMICS, "--junitxml", "j.xml")
    assert code == 1 and "FolioLab::measured" in out and "nothing was measured" in out, out
    failed = [one.get("name") for one in ElementTree.parse(tmp_path / "j.xml").iter("testcase") if len(one)]
    assert failed == ["measured"]


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("def test_it():\n    pass\n", ["--compare-report", "out"], "nothing would be measured"),
        (COMPARE, ["--policy", "page-mapcount", "--compare-fail", "speed:3"], "no such limit"),
        (COMPARE, ["--policy", "page-mapcount", "--baseline", "none.json"], "none.json"),
        (COMPARE, ["--policy", "no-such"], "no-such"),
        (COMPARE, ["--policy", "none.py"], "there is no such file"),
        (COMPARE, ["--policy", "mine.py::other"], "mine"),
        (COMPARE, ["--workload", "mumap"], "munmap"),
        (COMPARE, ["--sizes", "17K"], "17K"),
        (COMPARE, ["--seeds", "x"], "--seeds"),
        (COMPARE, ["--policy", "\x1b[2J"], "\\x1b[2J"),
        (COMPARE, ["--policy", "page-mapcount", "--baseline", "\x1b[2J.json"], "\\x1b[2J.json"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_first_test(
    tmp_path: Path, text: str, arguments: list[str], says: str
) -> None:
    code, out = run(tmp_path, text, *arguments)
    assert code == pytest.ExitCode.USAGE_ERROR and says in out and "passed" not in out and "Error: " not in out
    assert "\x1b" not in out


def test_a_policy_of_a_module_that_there_is_not(tmp_path: Path) -> None:
    code, out = run(tmp_path, COMPARE, "--policy", "json:nothing")
    assert code == pytest.ExitCode.USAGE_ERROR and "json:nothing cannot be imported" in out


def test_a_policy_of_a_module(tmp_path: Path) -> None:
    code, out = run(tmp_path, "def test_it(policy):\n    assert policy.name == 'mine'\n", "--policy", "mine:POLICY")
    assert code == 0, out


def test_policies_in_c_and_of_a_kernel_tree(tmp_path: Path) -> None:
    pytest.importorskip("clang.cindex", reason="libclang is missing")
    sources = Path(__file__).parents[1] / "csource"
    names = "['owner-slot', 'tree-no-page-mapcount']"
    code, out = run(
        tmp_path, f"def test_it(policy):\n    assert policy.name in {names}\n", "--policy", f"{sources}/owner_slot.c",
        "--policy", f"tree:{sources}/tree:NO_PAGE_MAPCOUNT=y",
    )  # fmt: skip
    assert code == 0 and "2 passed" in out, out


# -- the class ---------------------------------------------------------------------------------------
CLASS = """
import pytest
from mine import POLICY
from foliolab.framework.testing import PolicyConformance

class TestMine(PolicyConformance):
    seconds = 1
    {expected}

    @pytest.fixture
    def policy(self{more}):
        return POLICY
"""


@pytest.mark.slow
def test_a_check_that_is_known_to_fail_is_expected_and_strictly(tmp_path: Path) -> None:
    wrong = CLASS.format(expected="", more="")
    code, out = run(tmp_path, wrong)
    failed = set(re.findall(r"FAILED test_it.py::TestMine::test_conforms\[([^\]]+)\]", out))
    assert code == 1 and failed and "what must hold" in out and "mapped by MM" in out
    names = {one.replace("claim-", "claim ", 1): "known" for one in failed}
    code, out = run(tmp_path, CLASS.format(expected=f"expected_failures = {names!r}", more=""))
    assert code == 0 and f"{len(failed)} xfailed" in out, out
    code, out = run(
        tmp_path, CLASS.format(expected=f"expected_failures = {names | {'documented': 'known'}!r}", more="")
    )
    assert code == 1 and "XPASS(strict)" in out


def test_an_expected_failure_that_is_no_check_is_refused(tmp_path: Path) -> None:
    code, out = run(tmp_path, CLASS.format(expected="expected_failures = {'claim wings': 'no'}", more=""))
    assert code != 0 and "claim wings" in out and "its checks are" in out


def test_a_fixture_with_needs_of_its_own_skips_what_is_not_claimed(tmp_path: Path) -> None:
    code, out = run(tmp_path, CLASS.format(expected="", more=", tmp_path"), "-k", "declared or documented or eight")
    assert code == 0 and "2 passed" in out and "1 skipped" in out and "does not claim" in out


@pytest.mark.parametrize("text", ["time:5", "atomics", "atomics:-1", "nothing:3", "atomics:x%"])
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"no such limit|as shares"):
        Limit.parse(text)


def test_limits() -> None:
    assert Limit.parse("atomics:0").allows(2.0, 2.0) and not Limit.parse("atomics:0").allows(2.0, 2.01)
    assert Limit.parse("loads:10%").allows(10, 11) and not Limit.parse("loads:10%").allows(10, 11.1)


def test_a_limit_without_a_measured_baseline_is_broken() -> None:
    gates = Gates(["atomics:0", "time:5%"])
    alone = Row(workload="munmap", size_kib=64, policy="mine", ns_per_page=1.0, counted={"atomics": 2.0})
    assert [line.partition(":")[0] for line in gates.broken([alone], 1)] == ["atomics", "time"]
    assert "baseline was not measured" in gates.broken([alone], 1)[0]
    assert not gates.broken([replace(alone, ratio=1.0, ratio_low=1.0, counted_baseline={"atomics": 2.0})], 1)
    assert not gates.broken([replace(alone, ns_per_page=None, skipped=True)], 1)
    assert "not measured" in gates.broken([replace(alone, ns_per_page=None, reason="crashed")], 1)[0]
