"""Describe what a policy's code raised: the hook that returned a wrong type, the exception, and its location."""

from __future__ import annotations

import traceback

from foliolab.framework.contract.hooks import HOOK_RESULTS
from foliolab.framework.engine import calls
from foliolab.framework.errors import PluginError
from foliolab.framework.isolation.blame import location_outside


def describe(fault: BaseException) -> str:
    """One line: what happened, and the location in the plugin."""
    text = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
    if not isinstance(fault, PluginError):
        text = f"{wrong_answer(fault) or type(fault).__name__}: {text}"
    location = location_outside(fault)
    return text if not location or location in text else f"{text} ({location})"


def wrong_answer(fault: BaseException) -> str:
    """Which hook returned the wrong type, if the engine failed on its answer; empty for any other exception."""
    frames = [frame for frame, _ in traceback.walk_tb(fault.__traceback__)]
    if not isinstance(fault, (TypeError, ValueError)) or not frames or frames[-1].f_code.co_filename != calls.__file__:
        return ""
    # an entry of `calls` has its hook's name; it may have failed in a function that packs the answer
    entries = (frame.f_code.co_name for frame in reversed(frames) if frame.f_code.co_filename == calls.__file__)
    hook = next((name for name in entries if name in HOOK_RESULTS), "")
    return f"the hook {hook} does not return {HOOK_RESULTS[hook]}" if hook else ""
