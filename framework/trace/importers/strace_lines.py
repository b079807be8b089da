"""The lines of strace's output, whatever options it ran with: whose line, when, and what is left.

    [pid 7<name>] 12:00:00.000001 (+ 0.000001) [ 9] [00007f0000000000] munmap(0x10000, 4096) = 0 <0.000004>

Everything before the call is optional: the PID (-f; with brackets on a terminal, with the name for -Y), a time (-t,
-tt, -ttt, -r, or two of them), the number of the call (-n) and the instruction pointer (-i).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from foliolab.framework.contract.trace_reader import TraceSource

LOOK_AHEAD: Final = 100_000
"""Lines that are read ahead to find out which call made a task."""
HALF_A_DAY: Final = 43_200_000_000_000
DAY: Final = 2 * HALF_A_DAY
EARLIEST: Final = 100_000_000
"""Seconds; what is less is the time since the line before (-r)."""
SCALE: Final = tuple(10 ** (9 - digits) for digits in range(10))
"""ns of the last of so many decimal digits."""
WITHOUT_TIMES: Final = 1000
"""ns between two lines of a text without times."""

# Every repetition has a bound, so that the time for a line grows with its length and no faster.
PREFIX: Final = re.compile(
    r"\s{0,32}(?:\[pid\s{1,32}(?P<boxed>\d{1,10})(?:<.{0,40}?>)?\]\s{1,32}|(?P<plain>\d{1,7})(?:<.{0,40}?>)?\s{1,32})?"
    r"(?:(?P<seconds>\d{9,40}|\d{1,8}(?=\.))(?:\.(?P<fraction>\d{1,40}))?\s{1,32}"
    r"|(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<part>\d{1,40}))?\s{1,32})?"
    r"(?:\(\+\s{0,32}\d{1,12}\.\d{1,40}\)\s{1,32})?"
    r"(?:\[\s{0,32}(?:0x)?[0-9a-f?]{1,32}\]\s{1,32}){0,2}",
    re.ASCII,
)
USUAL: Final = re.compile(
    r"(?:(\d{1,7})\s{1,32})?(?:(\d{9,11})|(\d\d):(\d\d):(\d\d))\.(\d{1,9}) "
    r"(?:(\w{1,64})\(|(?=<\.\.\. \w{1,64} resumed>|\+\+\+ |--- ))",
    re.ASCII,
)
"""PREFIX and TEXT at once, for the options that are used most; it takes a third of the time."""
TEXT: Final = re.compile(r"(\w{1,64})\(|<\.\.\. \w{1,64} resumed>|\+\+\+ |--- ", re.ASCII)
"""How the rest of a line begins."""
CALL: Final = re.compile(r"(\w{1,64})\((.*)", re.ASCII | re.DOTALL)
RESUMED: Final = re.compile(r"<\.\.\. (\w{1,64}) resumed>(.*)", re.ASCII | re.DOTALL)
RESULT: Final = re.compile(
    r" = (0x[0-9a-f]{1,40}|-?\d{1,40}|\?)(?:<.{0,40}?>)?(?: /\* (\d{1,10}) in strace's PID NS \*/)?", re.ASCII
)
MESSAGE: Final = re.compile(r"strace: (?:Process \d{1,10} |\[ Process |Exit of unknown)[^\n]{0,200}\n?", re.ASCII)
"""What strace itself says on a terminal; it may stand in the middle of a line, which then goes on in the next one."""
MAKERS: Final = frozenset({"fork", "vfork", "clone", "clone3"})
"""The calls that make a task."""


def _prefix(line: str) -> re.Match[str]:
    """What stands before the call; it may be empty."""
    found = PREFIX.match(line)
    assert found is not None
    return found


class StraceLine(NamedTuple):
    """A line.

    Attributes:
        number: of the line.
        tid: 0 if the line names none.
        time: in ns.
        call: the name of the call that begins here; empty if none does.
        text: what follows the bracket behind that name; without one the message, or the rest of an earlier call.
    """

    number: int
    tid: int
    time: int
    call: str
    text: str


def result_of(text: str) -> tuple[int, int] | None:
    """The result of a call (-1 for "?"), and where in the text it begins; None if there is none."""
    start = text.rfind(" = ")
    found = RESULT.match(text, start) if start >= 0 else None
    if found is None:
        return None
    value = found[2] or found[1]
    return (-1 if value == "?" else int(value, 16 if value.startswith("0x") else 10)), start


class StraceLines:
    """Reads a text line by line, and ahead.

    Attributes:
        incomplete: calls whose rest does not come.
        timed: lines with a time.
    """

    def __init__(self, source: TraceSource) -> None:
        self.source = source
        self.incomplete = 0
        self.timed = 0
        self._parsed = self._lines()
        self._ahead: deque[StraceLine] = deque()
        self._made: dict[int, int] = {}
        self._answered: dict[int, int] = {}
        self._days = 0
        self._now = 0

    def __iter__(self) -> Iterator[StraceLine]:
        while True:
            while self._ahead:
                line = self._ahead.popleft()
                if (answer := self._answer(line)) is not None:
                    self._made.pop(answer, None)
                    self._answered[line.tid] -= 1
                    if not self._answered[line.tid]:
                        del self._answered[line.tid]
                yield line
            for line in self._parsed:
                yield line
                if self._ahead:
                    break
            else:
                return

    def maker_of(self, child: int, makers: Collection[int]) -> int:
        """Whose call made a task: a TID; 0 if none of the makers did; -1 if the text does not say it.

        Args:
            child: the TID of the task, whose first line this is.
            makers: TIDs in a call that makes a task. The one that made this task returns its TID later.
        """
        if child in self._made:
            return self._made[child]
        open_calls = {maker for maker in makers if maker not in self._answered}
        while open_calls and len(self._ahead) < LOOK_AHEAD:
            line = next(self._parsed, None)
            if line is None:
                return -1
            self._ahead.append(line)
            answer = self._answer(line)
            if answer is not None:
                self._made[answer] = line.tid
                self._answered[line.tid] = self._answered.get(line.tid, 0) + 1
                if answer == child:
                    return line.tid
                open_calls.discard(line.tid)
            elif line.text.startswith("+++") and not line.call:
                open_calls.discard(line.tid)
        return -1 if open_calls else 0

    @staticmethod
    def _answer(line: StraceLine) -> int | None:
        """The result of a resumed call that makes a task."""
        if (
            not line.call
            and line.text.startswith("<...")
            and (resumed := RESUMED.match(line.text))
            and resumed[1] in MAKERS
        ):
            found = result_of(resumed[2])
            return found[0] if found else None
        return None

    def _lines(self) -> Iterator[StraceLine]:
        """The lines, with those put together that a message of strace had cut."""
        cut = ""
        for text in self.source:
            if not cut and (usual := USUAL.match(text)) and "strace: " not in text:
                tid, seconds, hour, minute, second, part, call = usual.groups()
                if seconds and len(part) == 6 and len(seconds) == 10 and seconds[0] != "0":  # -ttt: most texts
                    self.timed += 1
                    self._now = now = int(seconds) * 1_000_000_000 + int(part) * 1000
                else:
                    now = self._time(seconds, hour, minute, second, part)
                yield StraceLine(self.source.number, int(tid or 0), now, call or "", text[usual.end() :].rstrip("\n"))
                continue
            message = MESSAGE.search(text) if "strace: " in text else None
            if message:
                cut += text[: message.start()]
                continue
            line, prefix = text, _prefix(text)
            if cut and not TEXT.match(text, prefix.end()):
                line = cut + text
                prefix = _prefix(line)
            elif cut:
                self.incomplete += 1
            cut = ""
            if (begins := TEXT.match(line, prefix.end())) is None:
                self.source.foreign += 1
                continue
            boxed, plain, seconds, fraction, hour, minute, second, part = prefix.groups()
            now = self._time(seconds, hour, minute, second, fraction or part)
            rest = line[begins.end() if begins[1] else prefix.end() :].rstrip("\n")
            yield StraceLine(self.source.number, int(boxed or plain or 0), now, begins[1] or "", rest)
        self.incomplete += bool(cut)
        if result_of(self.source.text) is None:
            self.source.cut_off()

    def _time(
        self,
        seconds: str | None,
        hour: str | None,
        minute: str | None,
        second: str | None,
        fraction: str | None,
    ) -> int:
        """The time of a line in ns, of the groups of PREFIX or USUAL that have it."""
        digits = (fraction or "0")[:9]
        part = int(digits) * SCALE[len(digits)]
        if seconds:
            self.timed += 1
            whole = int(seconds)
            time = whole * 1_000_000_000 + part
            self._now = time if whole >= EARLIEST else self._now + time
        elif hour and minute and second:
            self.timed += 1
            minutes = int(hour) * 60 + int(minute)
            time = (minutes * 60 + int(second)) * 1_000_000_000
            time += part + self._days * DAY
            if time < self._now - HALF_A_DAY:
                self._days += 1
                time += DAY
            self._now = time
        else:
            self._now += WITHOUT_TIMES
        return self._now


def recognise(head: str) -> bool:
    """Whether a line near the beginning is a call, or a message, as strace prints it."""
    for line in head.splitlines()[:200]:
        text = line[_prefix(line).end() :]
        if MESSAGE.match(line) or text.startswith(("+++ exited with ", "+++ killed by ")) or RESUMED.match(text):
            return True
        if CALL.match(text) and (text.endswith("<unfinished ...>") or RESULT.search(text)):
            return True
    return False
