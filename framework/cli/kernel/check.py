"""Compare every decision of a policy with this kernel's, or with those of kernels in guests.

The running kernel needs root, since THP settings and page frame numbers are root's. Kernels in guests need none:
`--kernel 6.12` boots one that `foliolab kernel get` has fetched, `--image` a file of yours, `--matrix` all at hand.
"""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foliolab.framework.cli import _common
from foliolab.framework.cli.kernel import _guests, _line, _saving
from foliolab.framework.errors import FolioLabError, KernelError, NothingMeasured, UsageError
from foliolab.framework.plugins.selection import parse_ranges

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.kernel.check import Agreement, Mutant
    from foliolab.framework.kernel.session import Session
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.scenario.generate import Mix

MISMATCH = 1
ORDERS = "0,2-9"
"""Without a wish, what this kernel does not have is left out."""
MUTANT_ORDERS = (2, 3, 4, 9)

Scenarios = Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="Number of random scenarios.")]
Seed = Annotated[
    int, typer.Option(min=0, max=_common.MOST_SEED, metavar="S", help="Seed of the first scenario; the others follow.")
]
Orders = Annotated[str, typer.Option(metavar="LIST", help="Orders of the folios, such as 0,2-4,9.")]
Steps = Annotated[int, typer.Option(min=2, max=500, metavar="N", help="Most steps of a random scenario.")]
Exhaustive = Annotated[
    int, typer.Option(min=0, max=6, metavar="DEPTH", help="Try all sequences of DEPTH steps over one folio.")
]
Against = Annotated[
    str | None,
    typer.Option(metavar="POLICY", help="Find the shortest scenario that refutes this policy."),
]
AgainstCaller = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Find the shortest scenario that refutes this caller: NAME or FILE.py::NAME."),
]
Cpus = Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Processors to spread the processes over.")]
SelfTest = Annotated[bool, typer.Option("--self-test", help="Check that wrong variants of the policy are found.")]
Save = Annotated[Path | None, typer.Option(metavar="DIR", help="Write each disagreement there as a scenario file.")]
SaveWitnesses = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Add the kernels to a file of witnesses, to ship it beside the policies."),
]
Matrix = Annotated[bool, typer.Option("--matrix", help="All kernels at hand, each with all policies that model one.")]
Identify = Annotated[bool, typer.Option("--identify", help="Find the policies that a kernel behaves like.")]


def run(  # noqa: PLR0913  (one parameter per option)
    scenarios: Scenarios = 200,
    seed: Seed = 1,
    orders: Orders = ORDERS,
    steps: Steps = 24,
    exhaustive: Exhaustive = 0,
    against: Against = None,
    against_caller: AgainstCaller = None,
    cpus: Cpus = 1,
    self_test: SelfTest = False,
    save: Save = None,
    kernel: _guests.Kernels = None,
    image: _guests.ImageFile = None,
    initrd: _guests.Initrd = None,
    matrix: Matrix = False,
    identify: Identify = False,
    save_witnesses: SaveWitnesses = None,
    wait: _common.Wait = 0.0,
    json: _common.Json = False,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Compare the decisions of a policy with this kernel's, or of several with those of kernels in guests.

    Exit codes: 0 they agree; 1 they differ, or what was asked for was not checked; 3 nothing can be checked here.
    """
    from foliolab.framework.kernel import probe, running
    from foliolab.framework.kernel.session import RunningKernel
    from foliolab.framework.scenario.generate import Mix

    found = _common.registry(plugin, strict)
    _common.warn(found)
    mix = Mix(orders=_orders(orders), steps=steps)
    if chosen := _guests.images(found, kernel, image, initrd, matrix):
        if self_test or exhaustive:
            raise UsageError("--self-test and --exhaustive are for the running kernel", "leave --kernel out")
        plan = _guests.plan(scenarios, seed, mix, cpus, identify)
        _common.writable(save_witnesses)
        columns = _common.under(found, _guests.columns(found, against, identify), against_caller)
        _guests.check(chosen, columns, plan, identify, json, save, save_witnesses)
        return
    if save_witnesses is not None:
        raise UsageError("--save-witnesses is for kernels in guests", "name some with --kernel, or use --matrix")
    if identify:
        probe.require()
        plan = _guests.plan(scenarios, seed, mix, cpus, identify)
        session = RunningKernel(_processors(cpus), wait)
        columns = _common.under(found, _guests.columns(found, against, True), against_caller)
        _guests.identify_running(session, _possible(mix), columns, plan, json, save)
        return
    if self_test and against_caller:
        raise UsageError("--self-test compares wrong variants of a policy", "leave out --against-caller")
    [scheme] = _common.under(found, [_scheme(found, against)], against_caller)
    refuting = against is not None or against_caller is not None
    probe.require()
    mix, messages = _possible(mix)
    absent = () if orders == ORDERS else tuple(order for order in _orders(orders) if order not in mix.orders)
    described = running.read().described
    if not json:
        for line in messages:
            _common.say(line)
    with RunningKernel(_processors(cpus), wait) as session:
        if self_test:
            _self_test(session, scheme, scenarios, seed, mix)
            return
        result = _compared(session, scheme, scenarios, seed, mix, exhaustive, refuting, save)
    _line.clear()
    _tell(result, scheme.name, described, refuting, json, save)
    if result.failed or absent:
        raise _unchecked(result.failed, absent)


def _orders(written: str) -> tuple[int, ...]:
    """Parse orders such as `0,2-4,9`.

    Raises:
        UsageError: not a list of orders that anonymous folios have.
    """
    chosen: dict[int, None] = {}
    for orders in parse_ranges(written, "an order", "0,2-4,9"):
        for order in orders:
            if order == 1 and len(orders) > 1:
                continue
            if order == 1 or order > 9:
                raise UsageError(f"there are no anonymous folios of order {order}", "orders are 0 and 2 to 9")
            chosen[order] = None
    return tuple(chosen)


def _scheme(found: Registry, against: str | None) -> Scheme:
    from foliolab.framework.kernel import running

    if against is not None:
        return found.policy(against, typed=True)
    scheme = running.matching(found)
    if scheme is None:
        raise KernelError(
            f"no policy is known to model {running.read().described}",
            "find one that it behaves like with --identify, or choose one with --against to see where it differs",
        )
    return scheme


def _possible(mix: Mix) -> tuple[Mix, list[str]]:
    """The mix without what this host does not allow, and a message for each omission."""
    from dataclasses import replace

    from foliolab.framework.kernel import needs, probe, settings
    from foliolab.framework.report import kernelcheck

    messages = []
    also = {"pageout": "swap", "migrate": "NUMA nodes"}
    actions = {*mix.actions, "thread", *(action for action in also if probe.capability(also[action]).available)}
    for name, needing in (("io_uring buffers", ("pin", "unpin")), ("vmsplice", ("vmsplice", "close"))):
        found = probe.capability(name)
        if not found.available:
            messages.append(f"without {name}: {found.reason}")
            actions -= {*needing}
    if why := needs.hidden():
        witnesses = "bit 56 and faults" if needs.fixed() else "bit 56, faults and nr_anon"
        messages.append(f"no page frame numbers ({why}); the witnesses are {witnesses}")
        if needs.fixed():
            messages.append(f"{kernelcheck.UNCOUNTED}; without the step cold, which only that number shows")
            actions -= {"cold"}
    known = {0, *map(settings.order_of, settings.sizes())}
    orders = tuple(order for order in mix.orders if order in known)
    if why := needs.fixed():
        messages.append(f"folio sizes are as they are ({why})")
        orders = tuple(o for o in orders if not o or settings.resolved_mode(4 << o) in ("always", "madvise"))
    if missing := sorted(set(mix.orders) - set(orders)):
        messages.append(f"without folios of order {', '.join(map(str, missing))}: not enabled, or not in this kernel")
    if not any(orders):
        raise NothingMeasured(
            "this host has no large folios", "; ".join(messages) or "`foliolab doctor` shows what works here"
        )
    return replace(mix, orders=orders, actions=frozenset(actions)), messages


def _processors(cpus: int) -> list[int]:
    import os

    allowed = sorted(os.sched_getaffinity(0))
    if cpus > len(allowed):
        raise UsageError(f"{cpus} processors are more than the {len(allowed)} of this host", "choose fewer")
    return allowed[:cpus]


def _compared(
    session: Session,
    scheme: Scheme,
    scenarios: int,
    seed: int,
    mix: Mix,
    exhaustive: int,
    refuting: bool,
    save: Path | None,
) -> Agreement:
    """Compare a policy with the running kernel: in all short scenarios, up to a difference, or in random scenarios."""
    from foliolab.framework.kernel import check
    from foliolab.framework.scenario import situations

    progress = _progress(save)
    if exhaustive:
        return check.check(session, scheme, check.exhaustive(exhaustive, mix.orders), progress=progress)
    if refuting:
        return check.refute(session, scheme, scenarios, seed, mix, progress)
    result = check.check(session, scheme, check.random_scenarios(scenarios, seed, mix), progress=progress)
    result.situations.sought = situations.possible(mix.orders, mix.actions)
    return result


def _progress(save: Path | None) -> Callable[[Agreement], None]:
    """A function that writes new disagreements at once, and shows how far the check is in a terminal."""
    saved = 0

    def show(found: Agreement) -> None:
        nonlocal saved
        if save is not None:
            _saving.save(found.disagreements[saved:], save)
            saved = len(found.disagreements)
        _line.show(f"{found.scenarios} scenarios, {found.writes:,} writes, {len(found.unexplained)} disagreements")

    return show


def _self_test(session: Session, scheme: Scheme, scenarios: int, seed: int, mix: Mix) -> None:
    from dataclasses import replace

    from foliolab.framework.kernel import check
    from foliolab.framework.report import kernelcheck
    from foliolab.framework.report.pages.plain_text import Plain

    if scheme.policy.mutants is None:
        raise NothingMeasured(f"policy {scheme.name} has no wrong variants", "declare some: Policy.mutants")
    wrong = [policy.with_parameters() for policy in scheme.policy.wrong_variants()]
    orders = tuple(order for order in MUTANT_ORDERS if order in mix.orders) or mix.orders
    made = check.random_scenarios(scenarios, seed, replace(mix, orders=orders))
    mutants: Sequence[Mutant] = check.self_test(session, wrong, made)
    kernelcheck.render_mutants(mutants, scenarios, Plain())
    if not all(mutant.caught for mutant in mutants):
        raise typer.Exit(MISMATCH)


def _tell(found: Agreement, policy: str, kernel: str, refuting: bool, json: bool, save: Path | None) -> None:
    from foliolab.framework.report import kernelcheck
    from foliolab.framework.report.pages.plain_text import Plain

    if json:
        sys.stdout.write(encoder.dumps(kernelcheck.data(found, policy, kernel), indent=1, ensure_ascii=True) + "\n")
    else:
        kernelcheck.render(found, policy, kernel, Plain(), refuting)
    if save is not None:
        _saving.save(found.disagreements, save)
    if not found.scenarios:
        raise NothingMeasured("no scenario ran on this kernel", "`foliolab doctor` shows what works here")
    if found.unexplained:
        raise typer.Exit(MISMATCH)
    if not found.complete:
        raise typer.Exit(_common.INTERRUPTED)


def _unchecked(failed: Sequence[str], absent: Sequence[int]) -> FolioLabError:
    """The error of a check that is not all that was asked for."""
    if failed:
        return FolioLabError(f"{len(failed)} scenarios could not be run on this kernel", f"the first: {failed[0]}")
    orders = ", ".join(map(str, absent))
    return FolioLabError(
        f"folios of order {orders} were asked for and not checked", "enable them, or leave them out of --orders"
    )
