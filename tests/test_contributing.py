"""The examples of CONTRIBUTING.md: the good ones work, the bad ones fail as it says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from foliolab.framework.consequences.moment import SCRATCH_A_PAGE
from foliolab.framework.consequences.tally import Tally
from foliolab.framework.contract.detector import Action, Known
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import calls
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, policy_library
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import NativeBuildError, PolicyTextError
from foliolab.framework.machine import primitives
from foliolab.framework.plugins.registry import load
from foliolab.framework.run.request import RunRequest
from foliolab.framework.run.supervise import compare_run

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
SMALL = Shape(nr_pages=1024, nr_mms=3, nr_vpns=256)


def example(name: str) -> str:
    (found,) = re.findall(rf"```python {name}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def policy_file(folder: Path, text: str) -> Scheme:
    file = folder / "example.py"
    file.write_text(text)
    return load([file]).policy("total-only")


def bad_function(name: str) -> str:
    """The good policy with one function of the bad example in its place."""
    head, *functions = re.split(r"\n\n\n(?=def )", example("bad-policy"))
    (bad,) = [f for f in functions if f.startswith(f"def {name}(")]
    good = example("good-policy").replace("import Hooks,", "import Hooks, atomic_sub,")
    replaced = re.sub(rf"def {name}\(.*?(?=\n\n\n)", lambda _: bad.rstrip(), good, flags=re.DOTALL)
    return replaced.replace("\n\n\ndef new_anon", f"\n{head}\n\n\ndef new_anon", 1)


@pytest.mark.parametrize("execution", ["interpreted", "native"])
def test_the_good_policy_keeps_what_it_claims(tmp_path: Path, execution: str) -> None:
    machine = Machine(policy_file(tmp_path, example("good-policy")), SMALL, execution)  # type: ignore[arg-type]
    machine.create(0)
    machine.populate(0, 0, 64, 4)
    machine.fork(0, 1)
    assert machine.write(1, 3) == "copied"
    assert violations(machine) == []
    machine.exit(1)
    machine.unmap(0, 0, 24)
    assert violations(machine) == []
    machine.exit(0)
    assert violations(machine) == []


def test_the_bad_policy_is_refused_natively(tmp_path: Path) -> None:
    scheme = policy_file(tmp_path, bad_function("dup_ptes"))
    with pytest.raises(NativeBuildError, match=r"example\.py:\d+ reads the global 'OWNERS', a dict"):
        policy_library(scheme).get(calls.dup_anon_ptes, calls.KINDS)


def test_the_bad_policy_is_refused_when_interpreted(tmp_path: Path) -> None:
    with pytest.raises(PolicyTextError, match=r"example\.py:\d+ uses folio\._refcount, which is not a field"):
        Machine(policy_file(tmp_path, bad_function("remove_ptes")), SMALL, "interpreted")


def test_the_good_workload_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(example("good-workload"))
    request = RunRequest(
        policies=("page-mapcount", "mm-id"),
        baseline="page-mapcount",
        workloads=("half-munmap",),
        orders=(4,),
        memory=8 << 20,
        repeats=2,
        plugins=(str(file),),
    )
    result = compare_run(request)
    assert [len(cell.samples) for cell in result.cells] == [2, 2]
    assert all(cell.counted["atomics"] > 1 for cell in result.cells)


def test_the_primitive_examples_differ_in_what_an_observer_sees() -> None:
    machine = Machine(load().policy("page-mapcount"), SMALL, "interpreted")
    seen: list[str] = []

    class Observer:
        def access(self, op: str, ref: object, old: int, new: int) -> None:
            seen.append(op)

    machine.vm.observer = Observer()
    for name, accesses in (("good-primitive", ["atomic_fetch_or"]), ("bad-primitive", ["load", "store"])):
        space = dict(vars(primitives))
        exec(example(name), space)
        seen.clear()
        assert space["atomic_fetch_or"](6, machine.page(0).private) in (0, 9, 15)
        assert seen == accesses


def test_the_variant_copies_where_its_original_reuses(tmp_path: Path) -> None:
    file = tmp_path / "variant.py"
    file.write_text(example("policy-variant"))
    outcomes = {}
    for name in ("mm-id", "mm-id-copies"):
        machine = Machine(load([file]).policy(name), SMALL, "native")
        machine.create(0)
        machine.populate(0, 0, 16, 4)
        machine.fork(0, 1)
        machine.exit(1)
        outcomes[name] = machine.write(0, 3)
        assert violations(machine) == []
    assert outcomes == {"mm-id": "reused", "mm-id-copies": "copied"}


def test_the_files_of_a_page_table_level_exist_and_each_has_the_present_levels() -> None:
    section = TEXT.partition("## Add a page-table level\n")[2].partition("\n## ")[0]
    files = re.findall(r"`(framework/[a-z_/]+\.py)`", section)
    assert len(files) > 15
    for name in files:
        assert "pmd" in (Path(__file__).parents[1] / name).read_text().lower(), name


def test_the_detector_walks_large_folios_alone(tmp_path: Path) -> None:
    (tmp_path / "detector.py").write_text(example("good-detector"))
    found = load([tmp_path / "detector.py"], strict=True).detectors["walk-large"]
    doubtful = [Known(1 << order, 1 << order, 0, True, 0, False) for order in (4, 9)]
    assert [found.at_removal(known) for known in doubtful] == [Action.NOTHING, Action.WALK]
    assert found.at_removal(Known(16, 3, 0, True, 0, False)) == Action.QUEUE


def test_the_asker_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(example("good-asker"))
    found = load([file], strict=True)
    shape = replace(SMALL, scratch=SMALL.nr_vpns * SCRATCH_A_PAGE)
    machine = Machine(found.policy("mm-id"), shape, "interpreted")
    machine.create(0)
    machine.populate(0, 0, 64, 4)
    machine.get_user(machine.frame(0, 0))
    tally = Tally(found.policy("mm-id"), [found.askers["dedup"]])
    tally.look(machine, "here")
    [dedup] = tally.outcome().decisions
    assert (dedup.asked, dedup.held_back, dedup.failed) == (3, 0, "")


def test_the_caller_unmaps_page_by_page(tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(example("good-caller"))
    found = load([file], strict=True)
    queued = {}
    for scheme in (found.policy("mm-id"), found.policy("mm-id+zap-page-by-page")):
        machine = Machine(scheme, SMALL, "interpreted")
        machine.create(0)
        machine.populate(0, 0, 16, 4)
        machine.unmap(0, 0, 16)
        assert violations(machine) == []
        queued[scheme.name] = machine.statistic("THP_DEFERRED_SPLIT_PAGE")
    assert queued == {"mm-id": 0, "mm-id+zap-page-by-page": 1}  # in between, it is mapped in part
