"""The C references of the benchmarks do what engine and replay do: memory is equal byte for byte."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Callable
from functools import cache
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import ModelError
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Trace, Writer
from foliolab.framework.trace.header import Header

NR_VPNS = 2048
NR_MMS = 4
SHAPE = Shape(nr_pages=6144, nr_mms=NR_MMS, nr_vpns=NR_VPNS, contents=True)
STEPS = 60
Step = Callable[[Machine], object]


def _load_reference() -> ModuleType:
    if "reference" not in sys.modules:
        place = Path(__file__).parent / "benchmarks" / "reference.py"
        spec = util.spec_from_file_location("reference", place)
        assert spec is not None and spec.loader is not None
        sys.modules["reference"] = util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["reference"])
    return sys.modules["reference"]


reference = _load_reference()
pytestmark = pytest.mark.skipif(
    bool(reference.missing() or native_missing()), reason=reference.missing() or native_missing()
)


def _populate(rng: random.Random, mm: int) -> Step:
    order = rng.choice((0, 2, 3, 4, 6, 8, 9))
    pmd = order == 9 and rng.random() < 0.6
    start = rng.randrange(NR_VPNS >> order) << order
    nr = min(rng.randint(1, 3) << order, NR_VPNS - start)
    batched = rng.random() < 0.2
    return lambda m: m.populate(mm, start, nr, order, pmd, batched)


def _range(rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(NR_VPNS)
    return start, min(rng.choice((1, 5, 64, 700)), NR_VPNS - start)


def _step(rng: random.Random) -> Step:
    """One random operation; the entry points that are in C come most often."""
    mm, other = rng.sample(range(NR_MMS), 2)
    start, nr = _range(rng)
    flush = rng.random() < 0.8
    steps: list[tuple[int, Step]] = [
        (5, lambda m: m.create(mm)),
        (12, _populate(rng, mm)),
        (12, lambda m: m.fork(mm, other)),
        (12, lambda m: m.unmap(mm, start, nr, flush)),
        (6, lambda m: m.exit(mm, flush)),
        (12, lambda m: m.write(mm, start, min(nr, 40), start & 127, 9)),
        (6, lambda m: m.split_pmd(mm, start, nr)),
        (2, lambda m: m.flush_gather()),
        (2, lambda m: m.swap_cache(m.frame(mm, start))),
        (3, lambda m: m.swap_out(mm, start)),
        (1, lambda m: m.pin(mm, start)),
        (2, lambda m: m.map_file(mm, start & ~15, m.file_folio(4), 8)),
        (1, lambda m: m.map_file(mm, start & ~15, m.file_folio(4), 16, shared=True, write=True)),
        (1, lambda m: m.map_file(mm, start & ~511, m.file_folio(9), 512, shared=flush, pmd=True)),
    ]
    return rng.choices([s for _, s in steps], [w for w, _ in steps])[0]


def _refuses(machine: Machine, step: Step) -> str:
    """Run a step; what was wrong with it, if it could not be done."""
    try:
        step(machine)
    except ModelError as fault:
        return str(fault)
    return ""


@cache
def _built(name: str) -> Any:
    return reference.Reference(reference.SCHEMES[name])


def _machines(name: str) -> list[Machine]:
    scheme = reference.SCHEMES[name]
    in_c = reference.ReferenceMachine(scheme, SHAPE, "native")
    in_c.reference = _built(name)
    return [Machine(scheme, SHAPE, "interpreted"), Machine(scheme, SHAPE, "native"), in_c]


def _assert_equal(machines: list[Machine], what: str) -> None:
    first = machines[0]
    for other, how in zip(machines[1:], ("native", "C"), strict=True):
        for mine, its, part in (
            (first.vm.buffer, other.vm.buffer, "memory"),
            (first.contents.buffer, other.contents.buffer, "contents"),
        ):
            if not np.array_equal(mine, its):
                at = int(np.argmax(mine != its))
                pytest.fail(f"{what}: {part} of {how} differs from the interpreted one at byte {at:#x}")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", reference.SCHEMES)
def test_memory_is_equal_after_random_operations(name: str, seed: int) -> None:
    rng = random.Random(f"{name} {seed}")
    machines = _machines(name)
    done = 0
    while done < STEPS:
        step = _step(rng)
        answers = {_refuses(m, step) for m in machines}
        assert len(answers) == 1, answers
        if answers == {""}:
            done += 1
            _assert_equal(machines, f"step {done} ({step.__code__.co_names})")


@pytest.mark.parametrize("order", (0, 2, 5, 9))
@pytest.mark.parametrize("name", reference.SCHEMES)
def test_memory_is_equal_after_each_measured_operation(name: str, order: int) -> None:
    machines = _machines(name)
    steps: list[Step] = [
        lambda m: m.create(0),
        lambda m: m.populate(0, 0, 1024, order),
        lambda m: m.fork(0, 1),
        lambda m: m.fork(0, 2),
        lambda m: m.exit(2),
        lambda m: m.write(1, 0, 600),
        lambda m: m.exit(1),
        lambda m: m.write(0, 100, 500),
        lambda m: m.unmap(0, 3, 701),
        lambda m: m.exit(0),
    ]
    for number, step in enumerate(steps):
        for machine in machines:
            step(machine)
        _assert_equal(machines, f"step {number}")
    assert machines[0].vm.at("zone", machines[0].map.zone).nr_free.peek() == SHAPE.nr_pages


def test_the_header_has_every_struct_at_its_size() -> None:
    for scheme in reference.SCHEMES.values():
        text = reference.header(scheme)
        for struct in reference.layouts_of(scheme):
            if struct.name != "pte":
                assert f"sizeof(struct {struct.name}) == {struct.size}" in text


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["snapshot", "workers"])
@pytest.mark.parametrize("scheme", reference.SCHEMES.values(), ids=reference.SCHEMES)
def test_the_replay_in_c_leaves_the_same_memory(
    scheme: Any, stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
    bench = importlib.import_module("replay_against_c")
    bench.replay.generate(tmp_path / stream, stream, 20_000)
    times = bench.measure(Trace(tmp_path / stream), scheme)
    assert times.events >= 20_000
    assert len(times.native) == len(times.c) > 0


@pytest.mark.slow
def test_a_replay_in_c_that_differs_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference stops before an event of a kind that it lacks; the replay does not."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
    bench = importlib.import_module("replay_against_c")
    with Writer(tmp_path / "exec", Header(source="test")) as writer:
        kinds = [ev.NEW, ev.EXEC]
        writer.append(ev.columns(time=[1, 2], kind=kinds, mm=1, page=1 << 20, order=4, other=2))
    with pytest.raises(bench.Difference, match="c stopped at event 1, native at 2"):
        bench.measure(Trace(tmp_path / "exec"), reference.SCHEMES["mm-id"])
