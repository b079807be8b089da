"""Two slots in C: the shipped policy makes the same accesses, and mutations that few sequences show are refuted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("clang.cindex", reason="libclang is missing")

sys.path.insert(0, str(Path(__file__).parent))
from accesses import accesses, differences
from test_one_file import line_of, scheme_of

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.explore.accesses import access_of_frame
from foliolab.framework.plugins.registry import load
from foliolab.framework.verify import attacks
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.playback import play

TEXT = Path(__file__).with_name("two_slots.c").read_text()
NOT_SET_BACK = ("\tfolio->_mm_id_mapcount[slot] = -1;\n", "\t;\n")
NOT_LOOKED_AT_AGAIN = ("\tif (!only_mapped(folio))\n\t\tgoto unlock;\n", "")


def changed(folder: Path, old: str, new: str) -> Scheme:
    assert TEXT.count(old) == 1
    return scheme_of(folder, TEXT.replace(old, new), "two_slots.c")


def refuted(scheme: Scheme, attack: str, *laws: str) -> Counterexample | None:
    """The counterexample of one of some laws by an attack, which is stopped there."""
    stop = threading.Event()
    found: list[Counterexample] = []

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Finding) and news.counterexample is not None and news.counterexample.law in laws:
            found.append(news.counterexample)
            stop.set()

    (chosen,) = attacks.chosen([attack])
    chosen.run(scheme, Budget(120.0, 256 << 20, stop=stop), tell)
    return found[0] if found else None


def test_the_shipped_policy_makes_the_same_accesses(tmp_path: Path) -> None:
    found = differences(accesses(load().policy("mm-id")), accesses(scheme_of(tmp_path, TEXT, "two_slots.c")))
    assert found == {"new folio": {("store", "_entire_mapcount"): (1, 0)}}  # which the C text does not have


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["explored", "random", "structural"])
def test_the_scheme_holds(attack: str, tmp_path: Path, is_known: Callable[[Finding], bool]) -> None:
    (chosen,) = attacks.chosen([attack])
    found = chosen.run(scheme_of(tmp_path, TEXT, "two_slots.c"), Budget(3.0, 128 << 20), lambda news: None)
    assert found and not [one.bound for one in found if one.verdict == "refuted" and not is_known(one)]


@pytest.mark.slow
def test_a_count_that_is_not_set_back_is_refuted(tmp_path: Path) -> None:
    """One of three MMs maps pages before and after another leaves it a slot, and leaves with all of them at once."""
    example = refuted(changed(tmp_path, *NOT_SET_BACK), "random", "checks", "initial-values")
    line = line_of("owner(folio, slot) == NOBODY &&", TEXT)
    says = {"checks": f"two_slots.c:{line} fires", "initial-values": "is unmapped, but _mm_id_mapcount["}
    assert example is not None and says[example.law] in example.message


@pytest.mark.slow
def test_references_that_are_not_looked_at_again_are_refuted(tmp_path: Path) -> None:
    """An MM swaps in and leaves between the two looks: its mapping is gone, its reference is not."""
    scheme = changed(tmp_path, *NOT_LOOKED_AT_AGAIN)
    example = refuted(scheme, "explored", "reuse")
    assert example is not None and "another MM or reference" in example.message
    found = (access_of_frame(frame, scheme, frame.thread) for frame in play(example, scheme).frames)
    lines = {one.line for one in found if one is not None and one.thread == 0 and one.file.endswith("two_slots.c")}
    assert line_of("sole = true;", TEXT) - 4 in lines  # the second look, at the flag
