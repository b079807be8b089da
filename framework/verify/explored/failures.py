"""Why the code of a thread ends by an error: the law that breaks."""

from __future__ import annotations

import sys
from typing import Final

from foliolab.framework.engine.answers import wrong_answer
from foliolab.framework.engine.check import Violation
from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.blame import location_outside
from foliolab.framework.isolation.limits import TooSlow
from foliolab.framework.verify.laws import failure, fired

SECONDS: Final = 5.0
"""Seconds for one run of a thread, at most. A loop without accesses is not ended by the other limits."""


class Endless(Exception):
    """The code exceeds a limit and may not end."""


def why(fault: BaseException, operation: str) -> Violation | FolioLabError:
    """The law that an error breaks; an error that breaks none unchanged.

    Args:
        fault: an error that is being handled.
        operation: that the code belongs to.
    """
    if isinstance(fault, TooSlow):
        return Violation("termination", f"{_running()}: does not end within {SECONDS:g} s")
    if isinstance(fault, Endless | RecursionError):
        what = "recurses without end" if isinstance(fault, RecursionError) else str(fault)
        return Violation("termination", f"{location_outside(fault) or _running()}: {what}")
    if isinstance(fault, FolioLabError):
        try:
            return failure(fault)
        except FolioLabError:
            return fault
    if isinstance(fault, AssertionError):
        return fired(fault)
    where = wrong_answer(fault) or location_outside(fault) or operation
    return Violation("raises", f"{where}: {type(fault).__name__}: {fault}")


def _running() -> str:
    """File and line of the policy in the exception that is being handled."""
    trace = sys.exc_info()[2]
    found = "the policy"
    while trace is not None:
        code = trace.tb_frame.f_code
        if not trace.tb_frame.f_globals.get("__name__", "").startswith("foliolab.framework"):
            found = f"{code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
