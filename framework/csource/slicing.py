"""Extracts of C files: wanted definitions and all conditionals. Other lines are blank: each line keeps its number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

NAME: Final = re.compile(r"[A-Za-z_]\w*")
_CONDITIONALS: Final = ("if", "ifdef", "ifndef", "else", "elif", "endif")
_DIRECTIVE: Final = re.compile(r"\s*#\s*(\w+)\s*(\w*)")
_STRUCT: Final = re.compile(r"\s*(?:struct|union|enum)\s+(\w+)[^;(]*$")
_HIDDEN: Final = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def without_comments(text: str) -> str:
    """A text in which comments, strings and characters are blank; lines keep their numbers."""
    return _HIDDEN.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


@dataclass(frozen=True)
class Definition:
    """A top-level definition.

    Args:
        name: of the function, struct, enum, typedef or macro; empty for anything else.
        first, last: its lines, from 0, both inclusive.
        uses: the names in it.
        is_macro: whether it is a #define.
    """

    name: str
    first: int
    last: int
    uses: frozenset[str]
    is_macro: bool = False


@dataclass
class SourceFile:
    """A C file, divided into its definitions.

    Attributes:
        lines: the text.
        definitions: at the top level.
        conditionals: the numbers of the lines of #if and its like.
        asked: the names in these lines.
    """

    text: str
    lines: list[str] = field(init=False)
    definitions: list[Definition] = field(default_factory=list, init=False)
    conditionals: set[int] = field(default_factory=set, init=False)
    asked: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.lines = self.text.split("\n")
        clean = without_comments(self.text).split("\n")
        at, begin, depth = 0, -1, 0
        while at < len(clean):
            if found := _DIRECTIVE.match(clean[at]):
                at = self._directive(clean, at, found, depth)
                continue
            if begin < 0 and clean[at].strip():
                begin = at
            depth += clean[at].count("{") - clean[at].count("}")
            if begin >= 0 and depth == 0 and clean[at].rstrip().endswith((";", "}")):
                self.definitions.append(_definition("\n".join(clean[begin : at + 1]), begin, at))
                begin = -1
            at += 1

    def _directive(self, clean: list[str], at: int, found: re.Match[str], depth: int) -> int:
        """Note a directive; the number of the line behind it."""
        last = at
        while clean[last].rstrip().endswith("\\"):
            last += 1
        uses = frozenset(NAME.findall("\n".join(clean[at : last + 1])))
        if found[1] == "define" and depth == 0:
            self.definitions.append(Definition(found[2], at, last, uses - {found[2], "define"}, True))
        elif found[1] in _CONDITIONALS:
            self.conditionals.update(range(at, last + 1))
            self.asked |= uses
        return last + 1

    def masked(self, kept: Iterable[Definition]) -> str:
        """The text with only these definitions and the conditionals."""
        lines = set(self.conditionals)
        for one in kept:
            lines.update(range(one.first, one.last + 1))
        return "\n".join(line if number in lines else "" for number, line in enumerate(self.lines))


def _definition(text: str, first: int, last: int) -> Definition:
    uses = frozenset(NAME.findall(text))
    head = text.partition("{")[0]
    name = ""
    if text.lstrip().startswith("typedef"):
        name = NAME.findall(text)[-1]
    elif (
        "{" in text and (found := _STRUCT.match(head)) and re.search(r"}[\w\s]*(\([^;]*\))?\s*;$", text.rstrip())
    ) or ("{" in text and (found := re.search(r"(\w+)\s*\(", head))):
        name = found[1]
    return Definition(name, first, last, uses - {name})


@dataclass(frozen=True)
class Extract:
    """What is taken from several files.

    Args:
        texts: the masked text of each file.
        missing: the wanted names that no file defines.
    """

    texts: Mapping[str, str]
    missing: frozenset[str]


def declared_in(text: str) -> frozenset[str]:
    """The names that a header declares or defines."""
    names = {*re.findall(r"#define (\w+)", text), *re.findall(r"(\w+)\(", text), *re.findall(r"}\s*(\w+);", text)}
    return frozenset(names | set(re.findall(r"struct (\w+) {", text)))


def extract(files: Mapping[str, str], wanted: Iterable[str], known: Set[str]) -> Extract:
    """The definitions of names, and of all that these use.

    Args:
        files: the text of each file.
        wanted: the names to begin with.
        known: names that are defined elsewhere, which are not followed.
    """
    sources = {file: SourceFile(text) for file, text in files.items()}
    table: dict[str, list[tuple[str, Definition]]] = {}
    for file, source in sources.items():
        for one in source.definitions:
            table.setdefault(one.name, []).append((file, one))
    kept: dict[str, set[Definition]] = {file: set() for file in files}
    for name in set().union(*(source.asked for source in sources.values())) - known:
        # a macro that a condition asks for, and that has no body: without it, what it guards would vanish
        for file, one in table.get(name, ()):
            if one.is_macro and not one.uses:
                kept[file].add(one)
    wanted = set(wanted)
    todo, seen = list(wanted), set(known) | {""}
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for file, one in table.get(name, ()):
            kept[file].add(one)
            todo += one.uses
    texts = {file: source.masked(kept[file]) for file, source in sources.items()}
    return Extract(texts, frozenset(wanted - table.keys()))
