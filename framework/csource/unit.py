"""A translation unit: which functions of the C text a policy needs, and for which constants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import TYPE_CHECKING, Final

from foliolab.framework.csource import libclang
from foliolab.framework.csource.controlflow import Block, Do, Line, Return, falls, lines, overwritten, used
from foliolab.framework.csource.integer import Integer, integer_of, is_out_parameter, stored_as
from foliolab.framework.csource.libclang import Cursor, calls, children
from foliolab.framework.csource.place import Place
from foliolab.framework.csource.statement import Statements
from foliolab.framework.csource.value import BELOW, Value, constant, refused
from foliolab.framework.csource.vocabulary import ACCESSES, HELPERS, PRIMITIVES, Vocabulary

if TYPE_CHECKING:
    from foliolab.framework.csource.expression import Expressions

STRUCTS: Final = ("folio", "page", "mm_struct")
_DEFINED: Final = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Z][A-Z0-9_]+)(?!\()\b", re.MULTILINE)
Consts = tuple[tuple[str, int], ...]


@dataclass
class UsedField:
    """A field of a struct that the text uses.

    Args:
        offset: bytes from the start of its struct.
        count: elements of an array; 1 where it is none.
        type: of an element.
        place: where C declares it.
    """

    offset: int
    count: int
    type: Integer
    place: Place

    @property
    def end(self) -> int:
        """The byte behind it."""
        return self.offset + self.count * self.type.bits // 8


@dataclass
class Instance:
    """A function for constant arguments, as a policy's function.

    Args:
        name: of the policy's function.
        lines: its text.
        place: the C function.
    """

    name: str
    lines: list[Line]
    place: Place


@dataclass
class Unit:
    """What is translated out of one syntax tree.

    Args:
        cursor: clang's syntax tree.
        texts: of the included files, by name.
        vocabulary: what the text may use without defining it.
        drops_checks: whether a check that has no translation is left out, with a note, rather than refused.

    Attributes:
        instances: the translated functions, in an order in which each calls only earlier ones.
        constants: the named constants that the text uses, with their values.
        imports: what the text needs of `foliolab.framework.api`.
        fields: the fields that the text uses, by struct and name.
        bits: the single bits of fields that the text uses, by field and number, with their names.
        notes: what was left out, by place.
        used_facts: the functions whose answer the model fixes, with the answer.
    """

    cursor: Cursor
    texts: Mapping[str, str]
    vocabulary: Vocabulary
    drops_checks: bool = False
    instances: list[Instance] = field(default_factory=list)
    constants: dict[str, int] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    fields: dict[tuple[str, str], UsedField] = field(default_factory=dict)
    bits: dict[str, dict[int, str]] = field(default_factory=dict)
    notes: dict[Place, str] = field(default_factory=dict)
    used_facts: dict[str, int] = field(default_factory=dict)
    _names: dict[tuple[str, Consts, tuple[tuple[str, int], ...]], str] = field(default_factory=dict)
    _running: list[str] = field(default_factory=list)
    _fresh: int = 0

    def __post_init__(self) -> None:
        self.functions = libclang.functions(self.cursor)
        self.structs = libclang.structs(self.cursor, STRUCTS)
        self._constants = {name for text in self.texts.values() for name in _DEFINED.findall(text)}
        kind = libclang.kinds().ENUM_DECL
        enums = [one for one in children(self.cursor) if one.kind == kind]
        self._constants |= {one.spelling for enum in enums for one in children(enum)}

    # -- names ---------------------------------------------------------------------------------------
    def source(self, cursor: Cursor) -> str:
        """The name of the constant that an expression is in the C text; empty where it is anything else."""
        start = cursor.extent.start
        text = self.texts.get(start.file.name, "") if start.file is not None else ""
        found = re.match(r"\w+", text.encode()[start.offset : start.offset + 80].decode(errors="ignore"))
        if found is None or found[0] not in self._constants:
            return ""
        end = cursor.extent.end
        same = end.file is not None and end.file.name == start.file.name
        return found[0] if same and end.offset <= start.offset + len(found[0]) else ""

    def local(self, name: str) -> str:
        """A variable's name in the policy's text, where the C name may mean something else."""
        return f"{name}_" if name in self.functions else _free(name)

    def fresh(self, base: str) -> str:
        """A new name."""
        self._fresh += 1
        return f"{base}_{self._fresh}"

    def called(self, function: str, arguments: str) -> str:
        """A call of a function of the api."""
        self.imports.add(function)
        return f"{function}({arguments})"

    # -- notes ---------------------------------------------------------------------------------------
    def note(self, place: Place, what: str) -> None:
        """Note what was left out."""
        self.notes.setdefault(place, what)

    def note_fact(self, name: str, value: int) -> None:
        """Note that the text asked a function whose answer the model fixes."""
        self.used_facts[name] = value

    def note_field(self, owner: str, cursor: Cursor) -> None:
        """Note that the text uses a field.

        Raises:
            CSourceError: its type is none that a policy can store.
        """
        kind = cursor.type.get_canonical()
        is_array = kind.kind == libclang.types().CONSTANTARRAY
        of = stored_as(cursor.type.get_array_element_type() if is_array else cursor.type)
        place = Place.of(cursor.referenced.location)
        if of is None or of.bits < 8:
            raise refused(
                place,
                f"{owner}->{cursor.spelling} is a {cursor.type.spelling}",
                "a field is an integer or atomic_t, or an array",
            )
        offset = self.structs[owner].get_offset(cursor.spelling)
        if offset < 0 or offset % 8 or cursor.referenced.is_bitfield():
            raise refused(place, f"{owner}->{cursor.spelling} is a bit-field", "use shifts and masks of a whole field")
        count = kind.get_array_size() if is_array else 1
        if owner == "folio" and self.structs["page"].get_offset(cursor.spelling) == offset:
            owner = "page"  # the first struct page of the folio
        self.fields.setdefault((owner, cursor.spelling), UsedField(offset // 8, count, of, place))

    def note_bit(self, number: Value, place: Value) -> None:
        """Note that the text uses a single bit of a field."""
        if number.const is not None:
            words = [word for word in number.text.split("_") if word and not word.startswith(("BIT", "NR", "PG"))]
            name = f"bit{number.const}" if number.text.lstrip("-").isdigit() or not words else words[-1].lower()
            self.bits.setdefault(place.text.rpartition(".")[2], {})[number.const] = name

    # -- functions -----------------------------------------------------------------------------------
    def instance(self, name: str, consts: Consts, caller: Expressions) -> str:
        """The policy's function for a function of the C text with constant arguments, as a caller needs it."""
        return self.translated(name, consts, {k: v for k, v in caller.facts.items() if k not in self.vocabulary.facts})

    def translated(self, name: str, consts: Consts = (), facts: Mapping[str, int] | None = None, hook: str = "") -> str:
        """Translate a function, if that was not done; the name of the policy's function.

        Args:
            facts: answers of functions that hold for this instance only.
            hook: the name of the hook that it is: its results through pointers begin as 0.

        Raises:
            CSourceError: it has no translation.
        """
        own = {k: v for k, v in (facts or {}).items() if self._asks(name, k, set())}
        key = (name, consts, tuple(sorted(own.items())))
        if key not in self._names:
            if name in self._running:
                raise refused(Place.of(self.functions[name].location), f"{name} calls itself", "write a loop")
            self._running.append(name)
            made = self.local_function(name, key)
            self.instances.append(_Function(self, self.functions[name], dict(consts), own).translated(made, hook))
            self._running.pop()
            self._names[key] = made
        return self._names[key]

    def local_function(self, name: str, key: tuple[str, Consts, tuple[tuple[str, int], ...]]) -> str:
        """A name for an instance: that of the C function, with the constants it was made for."""
        _, consts, facts = key
        tail = "".join(f"__{abs(value)}" for _, value in (*consts, *facts))
        return _free(f"{name}{tail}")

    def _asks(self, name: str, function: str, seen: set[str]) -> bool:
        """Whether a function, or one that it calls, calls a function."""
        if name in seen or name not in self.functions:
            return name == function
        seen.add(name)
        return any(self._asks(one.spelling, function, seen) for one in calls(self.functions[name]))

    def reached(self, names: Iterable[str]) -> frozenset[str]:
        """The functions of the C text that these call, and these."""
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in self.functions and name not in found:
                found.add(name)
                todo += [one.spelling for one in calls(self.functions[name])]
        return frozenset(found)

    def without_functions(self, file: str, kept: Set[str]) -> str:
        """The text of a file in which all other functions that it defines are blank; lines keep their numbers."""
        text = self.texts[file].encode()
        for name, one in self.functions.items():
            start, end = one.extent.start, one.extent.end
            if name not in kept and start.file is not None and start.file.name == file:
                blank = re.sub(rb"[^\n]", b" ", text[start.offset : end.offset])
                text = text[: start.offset] + blank + text[end.offset :]
        return text.decode()

    def answers_of(self, name: str) -> tuple[str, ...]:
        """The variables in which a function, or one that it calls, leaves what it tells the kernel's statistics."""
        variables = dict.fromkeys(one for told in self.vocabulary.answers.values() for one in told)
        if any(self._asks(name, told, set()) for told in self.vocabulary.answers):
            return tuple(variables)
        return ()


RESERVED: Final = frozenset(
    {
        "load", "store", "u64", "int", "bool", "range", "min", "max", "abs", "len", "VM_WARN_ON", "as_folio", "as_page",
        "Bits", "Hooks", "Policy", "Stored", "POLICY",
        BELOW, *PRIMITIVES.values(), *ACCESSES.values(), *HELPERS.values(),
    }
)  # fmt: skip
"""The names that mean something in the text."""


def _free(name: str) -> str:
    """A name of the C text, or with an underscore behind it where it means something else in the policy's text."""
    return f"{name}_" if iskeyword(name) or name in RESERVED else name


class _Function(Statements):
    """One function for constant arguments."""

    def __init__(self, unit: Unit, cursor: Cursor, consts: dict[str, int], facts: dict[str, int]) -> None:
        super().__init__(unit, consts, {**unit.vocabulary.facts, **facts})
        self.cursor = cursor
        self.answers = unit.answers_of(cursor.spelling)
        self.result = integer_of(cursor.result_type)

    def translated(self, name: str, hook: str) -> Instance:
        """The function as a policy's function of that name."""
        place = Place.of(self.cursor.location)
        parameters = list(self.cursor.get_arguments())
        self.outs = [one.spelling for one in parameters if is_out_parameter(one.type)]
        (body,) = (one for one in children(self.cursor) if one.kind == libclang.kinds().COMPOUND_STMT)
        begin = [Do(f"{one} = {_zero(one)}", place) for one in self.answers] + self._constants(parameters, body, place)
        tree = self.block(children(body))
        self._told_once(tree, place)
        outs = [self.unit.local(one) for one in self.outs]
        end = Place(place.file, body.extent.end.line)
        if falls(tree) and (outs or self.answers):
            tree = (*tree, Return(", ".join(self.answers or outs), end))
        if hook:
            begin += [
                Do(f"{self.unit.local(one.spelling)} = {_zero_of(one)}", place)
                for one in parameters
                if one.spelling in self.outs
            ]
        kept, _ = used((*begin, *tree))
        given = [
            self.unit.local(one.spelling)
            for one in parameters
            if one.spelling not in self.consts and not (hook and one.spelling in self.outs)
        ]
        head = (0, f"def {name}({', '.join(given)}):", place)
        return Instance(name, [head, *lines(kept, 1)], place)

    def _told_once(self, tree: Block, place: Place) -> None:
        """Refuse a function that has several answers: the hook returns what the kernel's statistics are told."""
        if self.answers and self.result:
            raise refused(place, f"{self.cursor.spelling} returns a number, and tells statistics", "return void")
        for one in self.answers:
            if at := overwritten(tree, one):
                raise refused(
                    at, f"{self.cursor.spelling} tells the same statistic twice", "tell it once, with the sum"
                )

    def _constants(self, parameters: list[Cursor], body: Cursor, place: Place) -> list[Do]:
        """Give constant parameters their values; the assignments for those that the function changes."""
        changed = libclang.changed(body)
        found = []
        for one in parameters:
            of = integer_of(one.type)
            if one.spelling not in self.consts or of is None:
                continue
            value = constant(self.consts[one.spelling], of)
            if one.spelling in changed:
                found.append(Do(f"{self.unit.local(one.spelling)} = {value.text}", place))
            else:
                self.known[one.spelling] = value
        return found


def _zero(variable: str) -> str:
    return "False" if variable.startswith("partially") else "0"


def _zero_of(parameter: Cursor) -> str:
    kinds = libclang.types()
    return "False" if parameter.type.get_canonical().get_pointee().get_canonical().kind == kinds.BOOL else "0"
