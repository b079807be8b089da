"""Describe what a policy's code raised: the hook that returned a wrong type, the exception, and its location."""

from __future__ import annotations

import linecache
import re
import traceback
from typing import Final

from foliolab.framework.contract.hooks import HOOK_RESULTS
from foliolab.framework.engine import calls
from foliolab.framework.errors import PluginError
from foliolab.framework.isolation.blame import location_outside

_CALL: Final = re.compile(r"hooks\.(\w+?)(?:_at)?\(")


def describe(fault: BaseException) -> str:
    """One line: what happened, and the location in the plugin."""
    text = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
    if not isinstance(fault, PluginError):
        text = f"{wrong_answer(fault) or type(fault).__name__}: {text}"
    location = location_outside(fault)
    return text if not location or location in text else f"{text} ({location})"


def hook_called(line: str) -> str:
    """The hook that a line of the engine's source calls; empty if the line calls no hook."""
    found = _CALL.search(line)
    return found[1] if found and found[1] in HOOK_RESULTS else ""


def wrong_answer(fault: BaseException) -> str:
    """Which hook returned the wrong type, if the engine failed on its answer; empty for any other exception."""
    steps = list(traceback.walk_tb(fault.__traceback__))
    if not isinstance(fault, (TypeError, ValueError)) or not steps:
        return ""
    frame, line = steps[-1]
    if frame.f_code.co_filename != calls.__file__:
        return ""
    hook = hook_called(linecache.getline(calls.__file__, line))
    return f"the hook {hook} does not answer {HOOK_RESULTS[hook]}" if hook else ""
