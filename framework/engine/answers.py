"""A hook's answer that is none: told by the hook's name, not by the engine's line that could not use it."""

from __future__ import annotations

import linecache
import re
import traceback
from typing import Final

from foliolab.framework.contract.hooks import HOOK_RESULTS
from foliolab.framework.engine import calls

_CALL: Final = re.compile(r"hooks\.(\w+?)(?:_at)?\(")


def hook_called(line: str) -> str:
    """The hook that a line of the engine's text asks for an answer; empty if it asks none."""
    found = _CALL.search(line)
    return found[1] if found and found[1] in HOOK_RESULTS else ""


def wrong_answer(fault: BaseException) -> str:
    """Which hook answered something else than it should, where that is what an exception is about; else empty."""
    steps = list(traceback.walk_tb(fault.__traceback__))
    if not isinstance(fault, (TypeError, ValueError)) or not steps:
        return ""
    frame, line = steps[-1]
    if frame.f_code.co_filename != calls.__file__:
        return ""
    hook = hook_called(linecache.getline(calls.__file__, line))
    return f"the hook {hook} does not answer {HOOK_RESULTS[hook]}" if hook else ""
