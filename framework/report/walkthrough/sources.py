"""The functions that a run's accesses are in, with the lines that may be passed on.

The text of a kernel tree is under GPL-2.0 and goes into no page and no mail: of a policy in C only a file of the
user's own is shown, and none that lies in a kernel tree.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource.choices import tree_around
from foliolab.framework.csource.textmodule import SOURCE
from foliolab.framework.report.functions import function_at
from foliolab.framework.report.walkthrough.walkthrough import NOWHERE, Source

LONGEST: Final = 120
"""Lines of a function that are shown at most; of a longer one, those around the line that ran."""
_C: Final = (".c", ".h")


def may_pass_on(file: str, scheme: Scheme) -> bool:
    """Whether the text of a file may go into a page: Python, or the single C file that the policy is written in."""
    if not file.endswith(_C):
        return True
    own = {os.path.abspath(one) for one in _c_files(scheme)}
    return os.path.abspath(file) in own and tree_around(Path(file)) is None


def _c_files(scheme: Scheme) -> list[Path]:
    """The single C files that a policy's functions were translated from; a tree is none."""
    modules = {getattr(hook, "__module__", "") for hook in vars(scheme.policy.hooks).values()}
    texts = (getattr(sys.modules.get(name), SOURCE, None) for name in modules if name)
    return [text for text in texts if isinstance(text, Path)]


class Sources:
    """Collects the functions that the accesses of a run are in.

    Args:
        scheme: the policy whose text ran.

    Attributes:
        found: the functions, in the order of their first access.
    """

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self.found: list[Source] = []
        self._index: dict[tuple[str, str, int], int] = {}

    def question(self) -> None:
        """Add the function that answers whether several MMs may map a folio."""
        code = getattr(self.scheme.policy.hooks.maybe_mapped_shared, "__code__", None)
        if code is not None:
            self.at(f"{code.co_filename}:{code.co_firstlineno}")

    def at(self, location: str) -> tuple[int, int]:
        """(index of the source, line) of a location such as `file.py:12`; NOWHERE if it names no line."""
        file, _, number = location.rpartition(":")
        if not number.isdecimal():
            return NOWHERE
        line = int(number)
        passed_on = may_pass_on(file, self.scheme)
        function = function_at(file, line)
        lines = function.text.splitlines()
        first = function.first_line
        start = (line - first) // LONGEST * LONGEST
        lines, first = lines[start : start + LONGEST], first + start
        key = (file, function.name, first)
        if key not in self._index:
            self._index[key] = len(self.found)
            text = "\n".join(lines) if passed_on else ""
            self.found.append(Source(Path(file).name, function.name, first, text))
        return self._index[key], line
