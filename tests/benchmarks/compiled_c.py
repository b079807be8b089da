"""A policy's C text in its native forms: compiled by the system's compiler, translated, and written by hand.

    python tests/benchmarks/compiled_c.py tree:linux-7.3:MM_ID=y my_scheme.c --operations 1e9

Of a kernel tree that is configured the whole mm/rmap.c is compiled, beside the extracted functions
(`tree:PATH:build=FOLDER` after `make O=FOLDER`).

Random operations on all of them, side by side, compare memory byte for byte (with a shipped policy whose fields lie
elsewhere: field by field). Then each workload runs on all of them in turn, restored before each round; what counts is
the lower quartile of the thread's processor time, as a ratio to that of the policy written by hand, or of the
translation where no shipped policy has the same fields.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.workload import Setting
from foliolab.framework.csource import compiled
from foliolab.framework.csource.compiled import CompiledEntries
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import PG_head
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.plugins.registry import Registry, load
from foliolab.framework.run.cases import shape_of
from foliolab.framework.testing.alike import TOGETHER, Walkers
from foliolab.framework.verify.random_operations import walk
from foliolab.framework.verify.random_operations.sequence import Scene, scenes

KERNEL: Final = "the kernel's own text"
"""The reference of a tree's policy."""
ROUNDS: Final = 40
TIMED: Final = (("munmap", 4), ("fork", 4), ("reuse-byte", 4), ("remap", 9), ("contention-1", 4))
"""Workloads that are timed, and their orders."""
PAGES: Final = 4096


def by_hand(registry: Registry, scheme: Scheme) -> Scheme | None:
    """The shipped policy that stores nothing else than a kernel tree's, wherever that lies; None beside a file."""

    def fields(one: Scheme) -> set[tuple[str, str, str, int]]:
        return {(field.name, field.per, field.ctype, field.count) for field in one.fields}

    of_a_tree = scheme.policy.references == (KERNEL,)
    names = ("mm-id", "no-page-mapcount", "page-mapcount")
    found = (one for one in map(registry.policy, names) if fields(one) <= fields(scheme))
    return next(found, None) if of_a_tree else None


def same_places(scheme: Scheme, hand: Scheme) -> bool:
    """Whether the fields of the second policy lie where the first has them."""
    places = [{(field.name, field.per, field.page, field.offset) for field in one.fields} for one in (scheme, hand)]
    return places[1] <= places[0]


def differs(machine: Machine, other: Machine) -> str:
    """The first field in which two machines whose fields lie elsewhere differ; empty where none does."""
    heads = np.flatnonzero(machine.column("page", "flags") >> np.uint64(PG_head) & np.uint64(1))
    for field in machine.scheme.fields:
        for element in range(field.count):
            one, two = (each.column(field.per, field.name, element) for each in (machine, other))
            at = heads if field.per == "folio" else slice(None)
            if not np.array_equal(one[at], two[at]):
                return field.name
    return ""


def forms_of(scheme: Scheme) -> dict[str, CompiledEntries]:
    """The compiled forms of a policy, by what was compiled: extracted functions, and the whole mm/rmap.c."""
    extracted, whole = (CompiledEntries(scheme, one) for one in (False, True))
    return {"extracted C": extracted} | ({"whole mm/rmap.c": whole} if whole.is_whole else {})


def compared(
    scheme: Scheme, compiled_forms: Iterable[CompiledEntries], hand: Scheme | None, operations: int, seed: int
) -> Iterator[str]:
    """One line for each kind of machine."""
    few = [scene for scene in scenes(scheme) if scene.shape.max_order <= PMD_ORDER]
    for scene in few:
        began = time.monotonic()
        machines = [machine_of(scheme, scene)]
        for entries in compiled_forms:
            machines.append(machine_of(scheme, scene))
            entries.connect(machines[-1])
        in_fields = None
        if hand is not None and same_places(scheme, hand):
            machines.append(machine_of(hand, scene))
        elif hand is not None:
            in_fields = Walkers([machine_of(hand, scene)], seed)
        pair = Walkers(machines, seed)
        what = f"{scene.shape.nr_mms} MMs, {scene.shape.nr_pages} frames"
        while pair.done < operations / len(few):
            if found := pair.step(TOGETHER):
                yield f"{what}: DIFFERENT after {pair.done} operations: {found}"
                return
            if in_fields is not None:
                in_fields.step(TOGETHER)
                if found := differs(in_fields.machines[0], machines[0]):
                    yield f"{what}: DIFFERENT after {pair.done} operations: {found} of {hand.name if hand else ''}"
                    return
        how = "not compared" if hand is None else "field by field" if in_fields else "all bytes"
        seconds = time.monotonic() - began
        yield f"{what}: {pair.done:,} operations alike in {seconds:.0f} s; by hand: {how}"


def machine_of(scheme: Scheme, scene: Scene) -> Machine:
    """A native machine for a walk."""
    return Machine(scheme, walk.with_scratch(scene.shape), "native", one_thread=True)


def timed(
    registry: Registry, scheme: Scheme, compiled_forms: Mapping[str, CompiledEntries], hand: Scheme | None
) -> Iterator[str]:
    """One line for each workload: the first form's time, and the ratios of the others."""
    forms = [*([hand] if hand else []), scheme, *(scheme for _ in compiled_forms)]
    names = [*([hand.name] if hand else []), "translated", *compiled_forms]
    for name, order in TIMED:
        workload = registry.workload(name)
        if order not in workload.orders or not all(workload.needs <= one.capabilities for one in forms):
            continue
        setting = Setting(order, PAGES, 1)
        machines = [Machine(one, shape_of(workload, setting), "native") for one in forms]
        for entries, machine in zip(compiled_forms.values(), machines[-len(compiled_forms) :], strict=True):
            entries.connect(machine)
        prepared = [workload.prepare(one, setting) for one in machines]
        runs = [[one] if callable(one) else list(one) for one in prepared]
        states = [one.snapshot() for one in machines]
        times: list[list[int]] = [[] for _ in machines]
        for _ in range(ROUNDS):
            for machine, run, state, found in zip(machines, runs, states, times, strict=True):
                machine.restore(state)
                found.append(processor_time(run))
        low = [sorted(one)[ROUNDS // 4] for one in times]
        ratios = "  ".join(f"{name} {one / low[0]:.3f}" for name, one in zip(names[1:], low[1:], strict=True))
        yield f"{name:13} order {order}: {names[0]} {low[0] / 1000:.1f} us  {ratios}"


def processor_time(calls: list[Callable[[], object]]) -> int:
    """Nanoseconds of this thread."""
    began = time.thread_time_ns()
    for call in calls:
        call()
    return time.thread_time_ns() - began


def main() -> int:
    """Compare and time; 1 where a form differs, 3 where nothing can be compiled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="+", help="a C file, or tree:PATH:OPTION=y")
    parser.add_argument("--operations", type=float, default=1e6, help="for each policy")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("compared", "timed"), help="one of the two parts")
    given = parser.parse_args()
    if reason := compiled.missing() or native_missing():
        print(f"compiled_c: nothing measured: {reason}", file=sys.stderr)
        return 3
    registry, failed = load(), False
    for text in given.policies:
        scheme = registry.policy(text, typed=True)
        forms, hand = forms_of(scheme), by_hand(registry, scheme)
        *_, last = forms.values()
        print(f"{scheme.name}: {len(last.addresses)} entries are C: {last.unit}")
        print(f"  by hand: {hand.name if hand else 'none'}", flush=True)
        lines: list[Iterator[str]] = []
        if given.only != "timed":
            lines.append(compared(scheme, [*forms.values()], hand, int(given.operations), given.seed))
        if given.only != "compared":
            lines.append(timed(registry, scheme, forms, hand))
        for part in lines:
            for line in part:
                failed |= "DIFFERENT" in line
                print(f"  {line}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
