"""The fixture `compare`: measure policies interleaved, under one workload at one folio size."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from foliolab.framework.errors import NothingMeasured
from foliolab.framework.results import comparison as rules
from foliolab.framework.testing.choices import PAGE, selection
from foliolab.framework.testing.gates import Gates
from foliolab.framework.testing.plugin import BROKEN, RESULTS

if TYPE_CHECKING:
    import pytest

    from foliolab.framework.contract.policy import Policy, Scheme
    from foliolab.framework.contract.workload import Workload

MEMORY: Final = "16M"


class Comparer:
    """Compares policies at one folio size, with one seed.

    Args:
        item: the test; its report carries the results.
        config: pytest's configuration, with the options.
        order: the order of the folios.
    """

    def __init__(self, item: pytest.Item, config: pytest.Config, order: int, seed: int) -> None:
        self.item = item
        self.config = config
        self.order = order
        self.seed = seed

    def __call__(
        self,
        workload: Workload | str,
        policies: Sequence[Policy | Scheme | str] = (),
        memory: str = MEMORY,
        repeats: int | None = None,
    ) -> list[rules.Row]:
        """Measure. What is beyond the limits of --compare-fail and --baseline fails the test when it ends.

        Args:
            workload: the workload, or its name.
            policies: besides the baseline; by default, those of --policy.
            memory: modelled memory that the workload works on, such as "16M".
            repeats: rounds; by default, as many as a verdict needs.

        Returns:
            one `foliolab.framework.results.comparison.Row` for each policy, the baseline first.

        Raises:
            NothingMeasured: no policy was measured.
        """
        from foliolab.framework.run.request import build
        from foliolab.framework.run.supervise import compare_run

        chosen = selection(self.config)
        names = [one if isinstance(one, str) else one.name for one in policies] or [one.name for one in chosen.schemes]
        baseline = chosen.baseline.name
        name = workload if isinstance(workload, str) else workload.name
        together = tuple(dict.fromkeys([baseline, *names]))
        request = build(
            chosen.registry,
            policies=together,
            baseline=baseline,
            workloads=(name,),
            sizes=(self.order,),
            memory=memory,
            repeats=repeats,
            spare=0.0,
            seed=self.seed,
            alone=len(together) == 1,
            typed=f"pytest {self.item.nodeid!r}",
        )
        self._warn()
        result = compare_run(request)
        rows = rules.compare(result)
        if all(row.ns_per_page is None and not row.counted for row in rows):
            why = next((cell.reason for cell in result.cells if cell.reason), "no round ended")
            raise NothingMeasured(f"{name} at {PAGE << self.order >> 10} KiB: nothing was measured: {why}")
        self._keep(msgspec.json.encode(result).decode(), rows)
        return rows

    def _warn(self) -> None:
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        if workers > 1:
            warnings.warn(
                f"FolioLab: {workers} workers of pytest-xdist measure at once, and slow each other down: counted "
                "metrics are exact, times are not to be trusted; measure times without -n",
                stacklevel=3,
            )

    def _keep(self, text: str, rows: Sequence[rules.Row]) -> None:
        """Attach the result to the test's report, and the figures to JUnit's properties; remember broken limits."""
        self.item.stash.setdefault(RESULTS, []).append(text)
        self.item.stash.setdefault(BROKEN, []).extend(Gates.of(self.config).broken(rows, self.seed))
        for row in rows:
            lead = f"foliolab.{row.workload}.{row.size_kib}K.{row.policy}"
            properties: dict[str, object] = dict(row.counted)
            properties |= {"verdict": row.verdict, "ns_per_page": row.ns_per_page, "ratio": row.ratio}
            self.item.user_properties += [
                (f"{lead}.{key}", value) for key, value in properties.items() if value is not None
            ]
