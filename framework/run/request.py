"""The request of a run, and the one builder of it for command line, window, sweeps, replays and pytest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foliolab.framework.engine.engine import Execution, native_missing
from foliolab.framework.errors import UsageError
from foliolab.framework.plugins.selection import PAGE, parse_memory, parse_sizes, size_text
from foliolab.framework.run import defaults

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.contract.workload import Workload
    from foliolab.framework.plugins.registry import Registry

MOST_ROUNDS: Final = 3
"""Times as many rounds as `repeats` that a case gets at most."""


@dataclass(frozen=True)
class RunRequest:
    """A comparison to run; plain values, so that it can go to another process. See `build`.

    Args:
        policies: as the user writes them, the baseline first.
        baseline: the policy that the others are compared with.
        workloads: names.
        orders: folio orders, ascending.
        memory: bytes of modelled memory that each workload works on.
        repeats: interleaved rounds, at least.
        spare: seconds that a case may take for further rounds, up to MOST_ROUNDS times as many: a short case can
            have a narrow interval.
        quick: whether the user asked for the quick variant.
        plugins: plugin files to load.
        execution: native, or interpreted if numba is missing.
        patience: seconds after which a step of a policy or workload counts as endless.
        cpu: the processor that the run is predicted on, for which executed instructions are counted; empty for none.
        typed: the command that the user typed; empty if there is none.
    """

    policies: tuple[str, ...]
    baseline: str
    workloads: tuple[str, ...]
    orders: tuple[int, ...]
    memory: int
    repeats: int
    spare: float = 0.0
    seed: int = defaults.SEED
    quick: bool = False
    plugins: tuple[str, ...] = ()
    execution: Execution = "native"
    patience: float = 60.0
    cpu: str = ""
    typed: str = ""

    def command(self) -> list[str]:
        """The words of the command that measures exactly this; for two policies or more."""
        words = ["foliolab", "compare", "--policies", ",".join(self.policies), "--baseline", self.baseline]
        words += ["--workloads", ",".join(self.workloads)]
        words += ["--sizes", ",".join(size_text(PAGE << order) for order in self.orders)]
        words += ["--memory", size_text(self.memory), "--repeats", f"{self.repeats}"]
        words += ["--spare", f"{self.spare!r}"] if self.spare else []
        words += ["--seed", f"{self.seed}"] if self.seed != defaults.SEED else []
        words += ["--quick"] if self.quick else []
        words += ["--execution", self.execution] if self.execution != "native" else []
        words += ["--cpu", self.cpu] if self.cpu else []
        return [*words, *(word for file in self.plugins for word in ("--plugin", file))]


def build(  # noqa: PLR0913  (one parameter per option of `foliolab compare`)
    registry: Registry,
    *,
    policies: Sequence[str] = (),
    baseline: str | None = None,
    workloads: Sequence[str] = (),
    sizes: Sequence[str | int] = (),
    memory: str | int = "",
    repeats: int | None = None,
    spare: float | None = None,
    seed: int = defaults.SEED,
    quick: bool = False,
    execution: Execution | None = None,
    alone: bool = False,
    cpu: str = "",
    caller: str | None = None,
    typed: str = "",
) -> RunRequest:
    """Make the request out of what the user chose; the rest is as `defaults` says.

    Args:
        registry: all plugins; the run loads the same files.
        policies, baseline, workloads: as the user writes them. The baseline is the first of the policies by
            default; a single policy is compared with `defaults.BASELINE`. Without workloads, those that are made for
            one of the sizes.
        sizes, memory: as the user writes them, or folio orders and bytes.
        repeats: rounds; by default as many as it takes for each comparison to be able to end with a verdict.
        spare: see `RunRequest`; 0 by default if `repeats` is given.
        quick: fewer sizes, less memory and less time by default.
        execution: native by default, or interpreted if numba is missing.
        alone: measure one policy, without a comparison.
        cpu: see `RunRequest`.
        caller: under which all policies run, as the user writes it; None: each as it is written.

    Raises:
        UsageError: a name, size or amount is not understood, or nothing is left to compare or measure.
    """
    from foliolab.framework.run.cases import plan

    execution = execution or usual_execution()
    schemes, first = _policies(registry, policies, baseline, alone)
    if caller is not None:
        calls = registry.caller(caller)
        schemes, first = [scheme.under(calls) for scheme in schemes], first.under(calls)
    chosen = registry.parse_workloads(workloads or ["all"])
    orders = _orders(sizes or [defaults.QUICK_SIZES if quick else defaults.SIZES], chosen)
    if not workloads:
        chosen = [workload for workload in chosen if set(workload.orders) & set(orders) and not workload.program]
    if spare is None:
        spare = 0.0 if repeats else defaults.QUICK_SPARE if quick else defaults.SPARE
    request = RunRequest(
        policies=tuple(scheme.name for scheme in schemes),
        baseline=first.name,
        workloads=tuple(workload.name for workload in chosen),
        orders=tuple(orders),
        memory=memory if isinstance(memory, int) else parse_memory(memory or _usual_memory(quick, execution)),
        repeats=repeats or _repeats(chosen, orders, schemes),
        spare=spare,
        seed=seed,
        quick=quick,
        plugins=tuple(registry.files()),
        execution=execution,
        cpu=cpu,
        typed=typed,
    )
    plan(registry, request)
    return request


def _orders(sizes: Sequence[str | int], workloads: Sequence[Workload]) -> list[int]:
    """The folio orders of sizes as the user writes them, out of the orders of the workloads, or of given orders."""
    texts = [size for size in sizes if isinstance(size, str)]
    if texts:
        return list(parse_sizes(texts, {order for workload in workloads for order in workload.orders}))
    return sorted({order for order in sizes if isinstance(order, int)})


def usual_execution() -> Execution:
    """Native, or interpreted if numba is missing."""
    return "interpreted" if native_missing() else "native"


def _policies(
    registry: Registry, written: Sequence[str], baseline: str | None, alone: bool
) -> tuple[list[Scheme], Scheme]:
    schemes = registry.parse_policies(written or [defaults.POLICIES])
    if baseline is not None:
        first = registry.policy(baseline, typed=True)
    else:
        first = schemes[0] if len(schemes) > 1 or alone else registry.policy(defaults.BASELINE)
    others = [s for s in schemes if (s.policy, s.values, s.caller) != (first.policy, first.values, first.caller)]
    if not others and not alone:
        raise UsageError(f"there is nothing to compare {first.name} with", "name another policy, too: --policies A,B")
    return [first, *others], first


def _repeats(workloads: Sequence[Workload], orders: Sequence[int], schemes: Sequence[Scheme]) -> int:
    from foliolab.framework.results.comparison import rounds_needed

    cases = sum(order in workload.orders for workload in workloads for order in orders)
    return rounds_needed(max(cases * (len(schemes) - 1), 1))


def _usual_memory(quick: bool, execution: Execution) -> str:
    if execution == "interpreted":
        return defaults.INTERPRETED_MEMORY
    return defaults.QUICK_MEMORY if quick else defaults.MEMORY
