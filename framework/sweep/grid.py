"""The tasks of a grid: policies × workloads × sizes × seeds × parameters, of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final

from foliolab.framework import intake
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.plugins.selection import PAGE, parse_memory, size_text, split
from foliolab.framework.results.comparison import rounds_needed
from foliolab.framework.run.request import RunRequest
from foliolab.framework.sweep.task import Task
from foliolab.framework.verify.version import verifier_digest

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.contract.workload import Workload

MOST_TASKS: Final = 100_000
MOST_POLICIES: Final = 1000
"""The most policies that the values of --parameter make."""
KINDS: Final = ("compare", "verify", "replay")


@dataclass(frozen=True)
class Grid:
    """The dimensions of a sweep.

    Args:
        schemes: the policies, the baseline first.
        workloads: of a comparison.
        memory: modelled memory of each measurement, as the user writes it.
        repeats: rounds; by default, as many as the verdicts of the whole grid need.
        plugins: absolute paths of plugin files.
        seconds: time of the attacks on each policy.
        traces: absolute paths of the traces to replay.
    """

    schemes: Sequence[Scheme]
    workloads: Sequence[Workload] = ()
    orders: Sequence[int] = ()
    seeds: Sequence[int] = (1,)
    memory: str = "64M"
    repeats: int | None = None
    plugins: Sequence[str] = ()
    seconds: float = 60.0
    traces: Sequence[str] = ()

    def tasks(self, kind: str) -> list[Task]:
        """The tasks of a kind.

        Raises:
            UsageError: the grid has no task.
        """
        cases = max(len(self.workloads), 1) * max(len(self.orders), 1) if kind == "compare" else len(self.schemes)
        if (asked := cases * len(self.seeds)) > MOST_TASKS:
            raise UsageError(f"the grid has up to {asked:,} tasks", f"choose at most {MOST_TASKS:,} at a time")
        made = {"compare": self._compare, "verify": self._verify, "replay": self._replay}
        found = made[kind]()
        if not found:
            raise UsageError("the grid is empty", "choose sizes that its workloads are for; see `foliolab list`")
        return found

    def _files(self) -> list[str]:
        return [word for path in self.plugins for word in ("--plugin", path)]

    @staticmethod
    def _digests(schemes: Sequence[Scheme]) -> tuple[str, ...]:
        """What a verdict on policies depends on besides their names: their texts, and engine and verifier."""
        return (verifier_digest(), *map(_digest, schemes))

    def _names(self) -> str:
        return ",".join(scheme.name for scheme in self.schemes)

    def _compare(self) -> list[Task]:
        """One task for each workload, size and seed: it measures the policies interleaved, so that times compare."""
        cases = [(one, order) for one in self.workloads for order in self.orders if order in one.orders]
        repeats = self.repeats or rounds_needed(max(len(cases) * (len(self.schemes) - 1), 1))
        request = RunRequest(
            policies=tuple(scheme.name for scheme in self.schemes),
            baseline=self.schemes[0].name,
            workloads=(),
            orders=(),
            memory=parse_memory(self.memory),
            repeats=repeats,
            plugins=tuple(self.plugins),
        )
        tasks, digests = [], self._digests(self.schemes)
        for (workload, order), seed in product(cases, self.seeds):
            words = replace(request, workloads=(workload.name,), orders=(order,), seed=seed).command()
            name = f"{workload.name} at {size_text(PAGE << order)}, seed {seed}"
            files = (*self.plugins, *_files_of(workload))
            tasks.append(Task(name, (*words[1:], "--no-calibration"), digests=digests, files=files))
        return tasks

    def _verify(self) -> list[Task]:
        return [
            Task(
                f"{scheme.name}, seed {seed}",
                ("verify", scheme.name, "--budget", f"{self.seconds:g}", "--seed", str(seed), *self._files()),
                limit=4 * self.seconds + 300,
                digests=self._digests([scheme]),
                files=tuple(self.plugins),
            )
            for scheme, seed in product(self.schemes, self.seeds)
        ]

    def _replay(self) -> list[Task]:
        return [
            Task(
                path,
                ("replay", path, "--policies", self._names(), *self._files()),
                limit=6 * 3600,
                digests=self._digests(self.schemes),
                files=(*self.plugins, path),
            )
            for path in self.traces
        ]


def _digest(scheme: Scheme) -> str:
    try:
        return policy_digest(scheme)
    except FolioLabError as fault:  # its task fails, and says why
        return fault.what


def _files_of(workload: Workload) -> tuple[str, ...]:
    """The files of a workload's functions."""
    code = (getattr(function, "__code__", None) for function in (workload.prepare, workload.pages))
    return tuple(sorted({found.co_filename for found in code if found is not None}))


def with_parameters(policies: Iterable[str], parameters: Iterable[str]) -> list[str]:
    """Replace policies by one for each combination of the values of `POLICY:NAME=V1,V2,…`.

    Args:
        policies: as the user writes them.
        parameters: such as `mm-id-slots:slots=2,3,4`; several parameters of one policy are combined.

    Raises:
        UsageError: a text is not understood.
    """
    wanted: dict[str, list[list[str]]] = {}
    for text in parameters:
        policy, colon, rest = text.partition(":")
        name, equals, values = rest.partition("=")
        listed = split([values])
        if not colon or not equals or not name.strip() or not listed:
            raise UsageError(f"--parameter {intake.plain(text)} is not understood", "write POLICY:NAME=VALUE,VALUE")
        wanted.setdefault(policy.strip(), []).append([f"{name.strip()}={value}" for value in listed])
    found = [one for one in policies if one not in wanted]
    for policy, choices in wanted.items():
        if (many := prod(map(len, choices))) > MOST_POLICIES:
            raise UsageError(f"--parameter makes {many:,} policies of {policy}", f"choose at most {MOST_POLICIES:,}")
        found += [f"{policy}:{','.join(chosen)}" for chosen in product(*choices)]
    return list(dict.fromkeys(found))
