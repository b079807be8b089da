"""Scenario text to `Scenario`; errors name line and column.

    scenario child-exits
    | The sole owner gets each page back by a fault of its own.
    by mm-id

    region heap: 1 x 64K pte, room 16

    A: fork B
    B: exit
    A: write heap[0-15] -> reused
    A: expect heap[0] kpagecount 1
    expect copied by page-mapcount

docs/scenarios.md explains the grammar; `syntax.ACTIONS` defines the actions and their operands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from foliolab.framework.errors import UsageError
from foliolab.framework.scenario.refusal import Refused
from foliolab.framework.scenario.space import MAX_PAGES, Space
from foliolab.framework.scenario.syntax import (
    ACTIONS,
    ANSWERS,
    STATISTICS,
    SUBJECTS,
    Expect,
    Item,
    Mark,
    Operand,
    Pages,
    Region,
    Scenario,
    ScenarioStep,
    order_of,
)

MAX_BYTES: Final = 1 << 20
MAX_REGIONS: Final = 64
MAX_ITEMS: Final = 2000
"""Steps and expectations of a scenario together, at most."""
MAX_VIEWS: Final = 1 << 21
"""Steps × processes × pages × policies: after each step, what every process sees of its pages is kept."""
MAX_TOUCHED: Final = 1 << 17
"""Pages that all steps name together."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TITLE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PAGES: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[(\d{1,9})(?:-(\d{1,9}))?\])?")
_LINE_END: Final = re.compile(r"\r\n?|\n")
_WORD: Final = re.compile(r"[^\s,]+|,")


class ScenarioError(UsageError):
    """A scenario's text is wrong; the message starts with file, line and column.

    Args:
        where: the file's name.
        line, column: from 1.
        what: what is wrong, as a sentence.
        hint: what to do.
    """

    def __init__(self, where: str, line: int, column: int, what: str, hint: str = "") -> None:
        super().__init__(f"{where}:{line}:{column}: {what}", hint)
        self.location = where, line, column, what

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.location, self.hint)


class _Words:
    """The words of one line, consumed from the left."""

    def __init__(self, where: str, line: int, text: str) -> None:
        self.where, self.line = where, line
        self.words = [(match.group(), match.start() + 1) for match in _WORD.finditer(text)]
        self.end = len(text.rstrip()) + 1

    @property
    def next(self) -> str:
        """The next word, "" at the end."""
        return self.words[0][0] if self.words else ""

    @property
    def column(self) -> int:
        return self.words[0][1] if self.words else self.end

    def refuse(self, what: str, hint: str = "", column: int = 0) -> NoReturn:
        """Raise an error about the next word, or about the word at a column."""
        raise ScenarioError(self.where, self.line, column or self.column, what, hint)

    def take(self, wanted: str) -> str:
        if not self.words:
            self.refuse(f"{wanted} is missing")
        return self.words.pop(0)[0]

    def keyword(self, *words: str) -> str:
        if self.next not in words:
            found = f", not {self.next!r}" if self.words else ""
            self.refuse(f"expected {' or '.join(words)}{found}")
        return self.take("")

    def matching(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        found = pattern.fullmatch(self.next)
        if not found:
            self.refuse(f"{wanted} is missing" if not self.words else f"{self.next!r} is not {wanted}")
        self.take(wanted)
        return found

    def number(self, wanted: str, high: int) -> int:
        """Consume a decimal number from 0 to `high`."""
        column = self.column
        word = self.take(wanted)
        if not word.isdecimal() or len(word) > 9 or int(word) > high:
            self.refuse(f"{word!r} is not {wanted}", f"write a number from 0 to {high}", column)
        return int(word)

    def finish(self) -> None:
        if self.words:
            self.refuse(f"unexpected {self.next!r}")


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where
        self.notes: list[str] = []
        self.comment = ""
        self.scenario: Scenario | None = None
        self.items: list[Item] = []
        self.space: Space | None = None
        self.sentences: list[str] = []
        self.processes = 1
        self.policies: set[str] = set()
        self.touched = 0

    def run(self) -> Scenario:
        last = 0
        for last, line in enumerate(_LINE_END.split(self.text.removesuffix("\n")), 1):
            code, hash_sign, comment = line.partition("#")
            self.comment = f"#{comment}".rstrip() if hash_sign else ""
            if line.lstrip().startswith("|"):
                code, self.comment = line, ""
            if not code.strip():
                if self.comment or (self.scenario and self.notes[-1:] != [""]):
                    self.notes.append(self.comment)
                continue
            self.line(_Words(self.where, last, code.rstrip()), code)
        if self.scenario is None:
            raise ScenarioError(self.where, max(last, 1), 1, "the file has no scenario", "start it: scenario NAME")
        if self.space is not None and self.space.group is not None:
            raise ScenarioError(self.where, last, 1, "`at once` has no end", "write end below its last step")
        while self.notes and not self.notes[-1]:
            self.notes.pop()
        return replace(self.scenario, text=tuple(self.sentences), items=tuple(self.items), tail=tuple(self.notes))

    def around(self, line: int) -> dict[str, Any]:
        """The fields of a `Node`: comments before and behind the line, and its number."""
        notes, self.notes = tuple(self.notes), []
        return {"notes": notes, "comment": self.comment, "line": line}

    def line(self, words: _Words, code: str) -> None:
        first, column = words.next, words.column
        if self.scenario is None:
            words.keyword("scenario")
            name = words.matching(_TITLE, "a name in lower case with hyphens").group()
            words.finish()
            self.scenario = Scenario(name=name, source=self.where, **self.around(words.line))
        elif first.startswith("|"):
            self.header(words, "a sentence")
            self.sentences.append(code.strip()[1:].strip())
        elif first == "by":
            self.header(words, "by")
            if self.scenario.policy:
                words.refuse("there is a policy already", "name other policies behind an expectation, with by")
            words.take("")
            self.scenario = replace(self.scenario, policy=self.policy(words))
            words.finish()
            if self.comment:
                self.notes.append(self.comment)
        elif first == "region":
            self.header(words, "a region")
            self.region(words)
        elif first == "expect":
            words.take("")
            self.outcome(words, column)
        elif first in ("at", "end"):
            self.mark(words, column)
        elif first.endswith(":"):
            self.process(words)
        else:
            words.refuse(
                f"a line cannot start with {first!r}",
                "start it with by, region, expect, at once, end, a process and a colon, | or #",
            )

    def header(self, words: _Words, what: str) -> None:
        if self.items:
            words.refuse(f"{what} after the first step", "put it above")

    @staticmethod
    def policy(words: _Words) -> str:
        """A policy as a user writes it; its parameters may be separated by commas."""
        name = words.take("a policy")
        while words.next == ",":
            name += words.take("") + words.take("a parameter")
        return name

    def region(self, words: _Words) -> None:
        assert self.scenario is not None
        words.take("")
        column = words.column
        name = words.matching(re.compile(_NAME.pattern + ":"), "a region's name and a colon").group()[:-1]
        if len(self.scenario.regions) >= MAX_REGIONS:
            words.refuse(f"more than {MAX_REGIONS} regions", "use fewer", column)
        if any(region.name == name for region in self.scenario.regions):
            words.refuse(f"there is a region {name} already", "give each a name of its own", column)
        folios = words.number("a number of folios", MAX_PAGES)
        words.keyword("x")
        at = words.column
        order = order_of(words.take("a folio size"))
        if order is None:
            words.refuse("that is not the size of an anonymous folio", "write 4K, 16K, 32K … 2M; there is no 8K", at)
        level = words.keyword("pte", "pmd") if words.next in ("pte", "pmd") else ""
        room = 0
        if words.next == ",":
            words.take("")
            words.keyword("room")
            room = words.number("a number of pages", MAX_PAGES)
        words.finish()
        made = Region(name=name, folios=folios, order=order, pmd=level == "pmd", room=room, **self.around(words.line))
        if made.pmd and order_of("2M") != order:
            words.refuse("only folios of 2M are mapped by PMDs", "write pte", at)
        if not made.nr_pages or sum(r.nr_pages for r in (*self.scenario.regions, made)) > MAX_PAGES:
            words.refuse(
                "the region has no page, or too many", f"all regions together have 1 to {MAX_PAGES} pages", column
            )
        self.scenario = replace(self.scenario, regions=(*self.scenario.regions, made))

    def process(self, words: _Words) -> None:
        assert self.scenario is not None
        column = words.column
        who = words.matching(re.compile(_NAME.pattern + ":"), "a process and a colon").group()[:-1]
        if not self.scenario.regions:
            words.refuse("there is no region yet", "add one above: region heap: 1 x 64K", column)
        if words.next == "expect":
            words.take("")
            self.expect(words, who, column)
            return
        at = {"process": column, "action": words.column}
        action = words.take("an action")
        if action not in ACTIONS:
            words.refuse(f"there is no action {action!r}", f"there are {', '.join(ACTIONS)}", at["action"])
        values: dict[str, Any] = {}
        for operand in ACTIONS[action].operands:
            self.operand(words, operand, values, at)
        if values.get("to") is not None:
            nr = values["pages"].nr
            values["to"] = replace(values["to"], last=values["to"].first + nr - 1)
        if words.next == "->":
            words.take("")
            at["answer"] = words.column
            values["answer"] = self.answer(words, action)
        words.finish()
        step = ScenarioStep(process=who, action=action, **values, **self.around(words.line))
        if self.space is None:
            self.space = Space(replace(self.scenario, items=(step,)))
        self.add(words, step, at)

    def add(self, words: _Words, item: Item, at: dict[str, int]) -> None:
        assert self.space is not None
        try:
            self.space.apply(item)
        except Refused as refused:
            words.refuse(refused.what, refused.hint, at.get(refused.operand, at["process"]))
        self.keep(words, item, at["process"])

    def keep(self, words: _Words, item: Item, column: int) -> None:
        """Add a line to the scenario, unless it then asks for too much."""
        self.items.append(item)
        steps, pages = len(self.items), self.space.layout.nr_pages if self.space is not None else 0
        if isinstance(item, Expect):
            self.policies.add(item.policy)
        elif isinstance(item, ScenarioStep):
            self.processes += item.action == "fork"
            self.touched += item.pages.nr if item.pages is not None else 0
        views = steps * pages * self.processes * max(len(self.policies), 1)
        if steps > MAX_ITEMS or views > MAX_VIEWS or self.touched > MAX_TOUCHED:
            words.refuse(
                f"{steps:,} steps of {self.processes} processes on {pages:,} pages, for {max(len(self.policies), 1)} "
                "policies, are too many",
                "use fewer",
                column,
            )

    def mark(self, words: _Words, column: int) -> None:
        """Read `at once` or `end`: a group of steps begins or ends."""
        begins = words.take("") == "at"
        if begins:
            words.keyword("once")
        words.finish()
        if self.space is None:
            words.refuse("there is no step above", "write at once below a step, such as A: fork B", column)
        self.add(words, Mark(begins=begins, **self.around(words.line)), {"process": column})

    def operand(self, words: _Words, operand: Operand, values: dict[str, Any], at: dict[str, int]) -> None:
        if operand.keyword:
            if operand.optional and words.next != operand.keyword:
                return
            words.keyword(operand.keyword)
        at[operand.into] = words.column
        if operand.kind == "NAME":
            values[operand.into] = words.matching(_NAME, "a name").group()
        elif operand.kind == "BYTE":
            values[operand.into] = words.number("a byte", 255)
        else:
            values[operand.into] = self.pages(words, operand.kind == "PAGE")

    def pages(self, words: _Words, single: bool) -> Pages:
        assert self.scenario is not None
        column = words.column
        found = words.matching(_PAGES, "pages such as heap[0-15]")
        name, first, last = found.groups()
        known = {region.name: region for region in self.scenario.regions}
        if name not in known:
            words.refuse(f"there is no region {name}", f"there are {', '.join(known)}", column)
        if first is None:
            pages = Pages(name, 0, known[name].nr_pages - 1)
        else:
            pages = Pages(name, int(first), int(last or first))
        if pages.nr < 1:
            words.refuse(f"{found.group()} ends before it starts", "write the lower page first", column)
        if single and pages.nr > 1:
            words.refuse(f"{found.group()} is more than one page", "name one", column)
        return pages

    @staticmethod
    def answer(words: _Words, action: str) -> str:
        kind = ACTIONS[action].answer
        if not kind:
            words.refuse(f"{action} has no outcome", "remove the ->")
        if kind == "byte":
            return str(words.number("a byte", 255))
        return _Parser.choice(words, ANSWERS[kind])

    @staticmethod
    def choice(words: _Words, choices: tuple[str, ...]) -> str:
        column = words.column
        outcome = words.take("an outcome")
        if f"{outcome} {words.next}" in choices:
            outcome += " " + words.take("")
        if outcome not in choices:
            words.refuse(f"{outcome!r} is not an outcome of this action", f"there are {', '.join(choices)}", column)
        return outcome

    def by(self, words: _Words) -> str:
        if words.next != "by":
            return ""
        words.take("")
        return self.policy(words)

    def outcome(self, words: _Words, column: int) -> None:
        """`expect OUTCOME by POLICY`, about the step above, or `expect STATISTIC N`."""
        if words.next in STATISTICS and self.space is not None:
            subject = words.take("")
            number = words.number("a number", 1 << 29)
            policy = self.by(words)
            words.finish()
            made = Expect(subject=subject, number=number, policy=policy, **self.around(words.line))
            self.add(words, made, {"process": column})
            return
        steps = [item for item in self.items if isinstance(item, ScenarioStep)]
        if not steps or not ACTIONS[steps[-1].action].answer:
            words.refuse("no step above has an outcome", "put it below a write, read, pin, peek or cold", column)
        answer = self.answer(words, steps[-1].action)
        if words.next != "by":
            words.refuse("a policy is missing", "write by and the policy; or write -> behind the step")
        policy = self.by(words)
        words.finish()
        self.keep(words, Expect(subject=answer, policy=policy, **self.around(words.line)), column)

    def expect(self, words: _Words, who: str, column: int) -> None:
        at = {"process": column, "pages": words.column}
        if not self.items:
            words.refuse("there is no step above", "write expectations below a step", column)
        pages = self.pages(words, False)
        subject = words.keyword(*SUBJECTS)
        number = words.number("a number", 1 << 29) if SUBJECTS[subject].number else None
        policy = self.by(words)
        words.finish()
        made = Expect(
            process=who, pages=pages, subject=subject, number=number, policy=policy, **self.around(words.line)
        )
        self.add(words, made, at)


def parse(text: str, where: str = "scenario") -> Scenario:
    """Read the text of a scenario.

    Args:
        where: the file's name, for messages.

    Raises:
        ScenarioError: the text is wrong; names line and column.
    """
    return _Parser(text, where).run()


def read(file: IO[bytes], name: str) -> str:
    """The text of an open scenario file.

    Raises:
        UsageError: it is too large, or not UTF-8.
    """
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name} is larger than {MAX_BYTES >> 20} MiB", "a scenario is a short text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the scenario {name} is not text in UTF-8: byte {error.start}", "save it as UTF-8") from error


def load_in_order(paths: Iterable[str | os.PathLike[str]]) -> list[Scenario]:
    """The scenarios of files, without those that have steps at once: what these do is not one course of steps.

    Raises:
        ScenarioError: a text is wrong; names line and column.
        UsageError: a file cannot be read.
    """
    return [scenario for scenario in map(load, paths) if not scenario.at_once]


def load(path: str | os.PathLike[str]) -> Scenario:
    """Read a scenario file.

    Raises:
        ScenarioError: the text is wrong; names line and column.
        UsageError: the file cannot be read.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            text = read(file, name)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise UsageError(
            f"the scenario {name} cannot be read: {getattr(error, 'strerror', None) or error}",
            "`foliolab run` lists the scenarios that ship",
        ) from error
    return parse(text, name)
