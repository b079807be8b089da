"""The choice of the processor and of the counts that a comparison is predicted with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from foliolab.framework.costmodel import kernels
from foliolab.framework.costmodel.kernels import CountedKernel
from foliolab.framework.costmodel.prediction import ProcessorForecast, predict
from foliolab.framework.costmodel.processors import Processor, of_host, processors
from foliolab.framework.errors import UsageError
from foliolab.framework.results.comparison import Row
from foliolab.framework.results.result import Result
from foliolab.framework.run.request import RunRequest


@dataclass(frozen=True)
class Chosen:
    """A processor, the version of its constants, and counted kernels."""

    processor: Processor
    version: int
    kernels: Sequence[CountedKernel]

    def predict(self, result: Result, rows: Sequence[Row], reuses: Callable[[str], bool]) -> ProcessorForecast:
        """Predict a comparison that was measured on this machine; see `prediction.predict`."""
        here = self.processor.cpu == of_host()
        return predict(result, rows, self.processor, self.version, self.kernels, reuses, here)


def choose(cpu: str, counts: Path | None) -> Chosen | None:
    """Load what predictions on a processor need; None if no processor is named.

    Args:
        cpu: its name.
        counts: a file of counts; None: those that FolioLab has, if it has any.

    Raises:
        UsageError: there is no such processor, or counts are named without one.
        ResultFileError: the counts cannot be read.
    """
    if not cpu:
        if counts is not None:
            raise UsageError(f"{counts} is not used without a processor", "name one with --cpu, or leave out --counts")
        return None
    known = processors()
    processor = known.named(cpu)
    path = counts or (kernels.SHIPPED if kernels.SHIPPED.is_file() else None)
    return Chosen(processor, known.version, kernels.load(path) if path else [])


def check(request: RunRequest) -> None:
    """Refuse a run whose executed instructions cannot be counted, before anything is measured.

    Raises:
        UsageError: it is interpreted, or this machine cannot count.
    """
    if not request.cpu:
        return
    if request.execution != "native":
        raise UsageError(
            "interpreted code has no instructions to count", "leave out --cpu, or install numba for native code"
        )
    from foliolab.framework.machine.stepping import unsupported

    if why := unsupported():
        raise UsageError(why, "leave out --cpu")
