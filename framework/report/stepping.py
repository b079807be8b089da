"""`foliolab step`: a counterexample step by step: forward, back, jump, search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from foliolab.framework.report import interleaving
from foliolab.framework.report.pages.page import Page
from foliolab.framework.verify.playback import Frame
from foliolab.framework.verify.timeline import Timeline

HELP: Final = """\
  n, Enter   one step forward       n 5   five steps
  b          one step back          b 5   five steps
  j 12       jump to step 12        s, e  to the first step, to the last
  t, o       to the next step of another thread, of another operation
  c          to the next step that changes a field of the policy
  / word     to the next step whose primitive, field, operation or line has the word
  a          n and b go by every access; again: by what the table shows
  l          the steps around this one, as a table line each
  d          the whole table        ?     this
  q          quit"""
AROUND: Final = 5
"""Steps that `l` shows before and after."""


class Stepper:
    """Shows one step of a timeline at a time.

    Args:
        timeline: the counterexample, played; it has at least one step.
        page: the page.
        all_accesses: stop at every access, not only at those to struct pages and page tables (in a sequence: not
            only at whole operations).
    """

    def __init__(self, timeline: Timeline, page: Page, all_accesses: bool = False) -> None:
        self.timeline = timeline
        self.page = page
        self.all_accesses = all_accesses
        self.step = 0
        self.last = len(timeline.frames) - 1

    @property
    def prompt(self) -> str:
        return f"step {self.step} of {self.last} [n b j t c / l d ? q] "

    def run(self, read: Callable[[str], str | None]) -> None:
        """Show the first step, then execute commands until the end.

        Args:
            read: prompt -> a command; None at the end of the input.
        """
        self.show()
        while (command := read(self.prompt)) is not None:
            word, _, rest = command.strip().partition(" ")
            if word.startswith("/"):
                word, rest = "/", f"{word[1:]} {rest}"
            if word in ("q", "quit"):
                return
            self.do(word or "n", rest.strip())

    def do(self, word: str, rest: str) -> None:
        """Execute one command."""
        if word == "?":
            self.page.line(HELP)
        elif word == "a":
            self.all_accesses = not self.all_accesses
            self.page.line(f"n and b go by {'every access' if self.all_accesses else 'what the table shows'}")
        elif word == "l":
            self._around()
        elif word == "d":
            interleaving.render(self.timeline, self.page)
        else:
            target = self._target(word, rest)
            if target is None:
                self.page.line(f"{word} {rest}".strip() + " is not a command: ? lists the commands")
            elif not 0 <= target <= self.last:
                self.page.line(f"there is no such step: choose 0 to {self.last}")
            else:
                self.step = target
                self.show()

    def _target(self, word: str, rest: str) -> int | None:
        """The step that a command goes to, beyond the last one if no step fits; None for an unknown command."""
        fixed = {"s": 0, "e": self.last}
        if word in fixed and not rest:
            return fixed[word]
        if word in ("n", "b") and (not rest or rest.isdecimal()):
            by = int(rest or 1)
            return self._go(by if word == "n" else -by)
        if word == "j" and rest.isdecimal():
            return int(rest)
        now = self.timeline.frames[self.step]
        wanted: dict[str, Callable[[int, Frame], bool]] = {
            "t": lambda at, frame: frame.thread != now.thread,
            "o": lambda at, frame: (frame.thread, frame.operation) != (now.thread, now.operation),
            "c": lambda at, frame: bool(self.timeline.changes(at, at)),
        }
        if word == "/" and rest:
            return self._next(lambda at, frame: rest.lower() in self._words(at, frame))
        return self._next(wanted[word]) if word in wanted and not rest else None

    def _go(self, by: int) -> int:
        """So many visible steps forward or back. At an end the step stays; from an end it goes beyond."""
        at = self.step
        for _ in range(abs(by)):
            beyond = at + (1 if by > 0 else -1)
            while 0 < beyond < self.last and not self._shown(self.timeline.frames[beyond]):
                beyond += 1 if by > 0 else -1
            if not 0 <= beyond <= self.last:
                return at if at != self.step else beyond
            at = beyond
        return at

    def _shown(self, frame: Frame) -> bool:
        if self.all_accesses or not frame.op:
            return True
        return self.timeline.threaded and interleaving.is_shared(frame)

    def _next(self, fits: Callable[[int, Frame], bool]) -> int:
        frames = self.timeline.frames
        return next((at for at in range(self.step + 1, len(frames)) if fits(at, frames[at])), self.last + 1)

    def _words(self, at: int, frame: Frame) -> str:
        return " ".join((frame.op, frame.field, frame.operation, frame.location, self.timeline.source(at))).lower()

    # -- showing -------------------------------------------------------------------------------------
    def show(self) -> None:
        frame = self.timeline.frames[self.step]
        self.page.line()
        self.page.line(self._heading(frame), "strong")
        if frame.op:
            self.page.line(f"  {interleaving.access_text(self.timeline, frame)}", "name")
        if frame.answer not in ("", "None"):
            self.page.line(f"  = {frame.answer}")
        if frame.location:
            self.page.line(f"  {frame.location}: {self.timeline.source(self.step)}", "quiet")
        changes = self.timeline.changes(self.step, self.step)
        if changes:
            self.page.line(f"  changed: {interleaving.changes_text(changes)}", "name")
        self.page.line("  the policy stores:")
        for text in interleaving.values_text(list(self.timeline.values(self.step).values())) or ["nothing yet"]:
            self.page.line(f"    {text}")
        self.page.line(f"  mapped, from the page tables: {self._truth()}")
        if self.step == self.last:
            interleaving.broken(self.timeline, self.page)

    def _heading(self, frame: Frame) -> str:
        who = "set-up" if frame.thread < 0 else f"thread {frame.thread}" if self.timeline.threaded else "operation"
        return f"step {self.step} of {self.last}  {who}: {frame.operation}"

    def _truth(self) -> str:
        texts = [
            f"folio {head} by {', '.join(f'MM {mm}: {count}' for mm, count in enumerate(counts) if count)}"
            for head, counts in self.timeline.mappings(self.step).items()
        ]
        return "; ".join(texts) or "no large folio"

    def _around(self) -> None:
        first, last = max(self.step - AROUND, 0), min(self.step + AROUND, self.last)
        for at in range(first, last + 1):
            frame = self.timeline.frames[at]
            what = interleaving.access_text(self.timeline, frame) if frame.op else frame.operation
            answer = f" = {frame.answer}" if frame.answer not in ("", "None") else ""
            mark = ">" if at == self.step else " "
            self.page.line(f"{mark} {at:>5}  {'' if frame.thread < 0 else frame.thread:>2}  {what}{answer}")
