"""Results in one: everything once, nothing twice, and what does not belong together is refused."""

from __future__ import annotations

import msgspec
import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.host import describe_host
from foliolab.framework.results.merge import merge
from foliolab.framework.results.result import Cell, Config, Result


def result(
    workload: str, size: int, policies: tuple[str, ...] = ("a", "b"), atomics: float = 1.0, seed: int = 1
) -> Result:
    cells = [
        Cell(workload=workload, size_kib=size, policy=policy, samples=[1.0, 2.0], counted={"atomics": atomics})
        for policy in policies
    ]
    config = Config(
        policies=list(policies), policy_parameters={name: {} for name in policies}, baseline=policies[0],
        workloads=[workload], sizes=[size], memory=1 << 20, repeats=2, seed=seed, quick=False,
    )  # fmt: skip
    return Result(
        complete=True, command="x", started=f"2026-01-0{size % 9 + 1}", finished="2026-02-01", config=config,
        machine=describe_host(), versions={}, kernel="k", git="", cells=cells,
    )  # fmt: skip


def test_pieces_become_one_file_that_can_be_read_again() -> None:
    whole = merge([result("munmap", 64), result("fork", 64), result("munmap", 16)])
    assert whole.config.sizes == [16, 64] and whole.config.workloads == ["munmap", "fork"]
    assert len(whole.cells) == 6 and whole.complete
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Result) == whole


def test_what_was_interrupted_makes_the_whole_incomplete() -> None:
    assert not merge([result("a", 16), msgspec.structs.replace(result("b", 16), complete=False)]).complete


def test_the_same_twice_is_once_and_other_values_are_refused() -> None:
    assert len(merge([result("a", 16), result("a", 16)]).cells) == 2
    with pytest.raises(UsageError, match="two results have measured a under munmap at 64 KiB"):
        merge([result("munmap", 64), result("munmap", 64, atomics=2.0)])


def test_other_seeds_baselines_and_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="different seeds"):
        merge([result("a", 16), result("b", 16, seed=2)])
    with pytest.raises(UsageError, match="different baselines"):
        merge([result("a", 16), result("b", 16, policies=("b", "a"))])
    with pytest.raises(UsageError, match="no result"):
        merge([])
