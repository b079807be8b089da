"""Expressions of C as expressions of a policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from foliolab.framework.csource import libclang
from foliolab.framework.csource.integer import (
    BOOL,
    INT,
    Integer,
    integer_of,
    is_out_parameter,
    promoted,
    stored_as,
    struct_of,
)
from foliolab.framework.csource.libclang import CType, Cursor, bare, children, evaluated, operator
from foliolab.framework.csource.place import Place
from foliolab.framework.csource.value import (
    Value,
    as_condition,
    calculated,
    compared,
    constant,
    converted,
    inverted,
    negated,
    refused,
    truth,
)
from foliolab.framework.csource.vocabulary import ACCESSES, CHECK, ENGINE_FIELDS, HELPERS, OF_BITS, PRIMITIVES
from foliolab.framework.errors import CSourceError

if TYPE_CHECKING:
    from foliolab.framework.csource.unit import Unit

CONSTANT: Final = re.compile(r"[A-Z][A-Z0-9_]+")
MOST_PAGES: Final = 1 << 20
PLAIN: Final = "write it with numbers, conditions, loops, calls, and the kernel's primitives"


class Expressions:
    """The expressions of one function.

    Args:
        unit: the translation unit.
        consts: the parameters that are constants here, with their values.
        facts: the answers of functions, the model's and those of this instance.

    Attributes:
        known: local names with a known value, another text, or the reason why they have none.
        outs: the parameters through which the function gives results.
        stepped: lines and columns of `++` and `--` that were written before the expression.
    """

    def __init__(self, unit: Unit, consts: dict[str, int], facts: dict[str, int]) -> None:
        self.unit = unit
        self.facts = facts
        self.known: dict[str, Value | CSourceError] = {}
        self.consts = consts
        self.outs: list[str] = []
        self.stepped: set[tuple[int, int]] = set()

    # -- values ------------------------------------------------------------------------------------
    def number(self, cursor: Cursor) -> Value:
        """The value of an expression; a place in memory is loaded."""
        return self._loaded(self.value(cursor))

    def _loaded(self, value: Value) -> Value:
        if not value.ref:
            return value
        self.unit.imports.add("load")
        return replace(value, text=f"load({value.text})", ref=False)

    def condition(self, cursor: Cursor) -> Value:
        """An expression where C asks whether it is 0."""
        return as_condition(self.number(cursor), Place.of(cursor.location))

    def value(self, cursor: Cursor) -> Value:
        """An expression; a field is a reference.

        Raises:
            CSourceError: it has no translation; names file, line and construct.
        """
        kind, of = cursor.kind.name, integer_of(cursor.type)
        if of and kind not in ("DECL_REF_EXPR", "CALL_EXPR", "PAREN_EXPR"):
            known = evaluated(cursor)
            if known is not None:
                return self._constant(cursor, known, of)
        translate: Callable[[Cursor, Integer | None], Value] | None = getattr(self, f"_value_{kind}", None)
        if translate is None:
            raise self.refused(cursor, f"{words(kind)} has no translation")
        return translate(cursor, of)

    def _value_PAREN_EXPR(self, cursor: Cursor, of: Integer | None) -> Value:
        return self.value(children(cursor)[0])

    def refused(self, cursor: Cursor, what: str, hint: str = PLAIN) -> CSourceError:
        """The error for an expression."""
        return refused(Place.of(cursor.location), what, hint)

    def _constant(self, cursor: Cursor, value: int, of: Integer) -> Value:
        name = self.unit.source(cursor)
        if CONSTANT.fullmatch(name) and of != BOOL:
            pattern = of.pattern(value)
            if self.unit.constants.setdefault(name, pattern) == pattern:
                return Value(name, of, pattern)
        return constant(value, of)

    def _value_DECL_REF_EXPR(self, cursor: Cursor, of: Integer | None) -> Value:
        name = cursor.spelling
        found = self.known.get(name)
        if isinstance(found, CSourceError):
            raise found
        if found is not None:
            return found
        value = evaluated(cursor) if of else None
        if of and value is not None and cursor.referenced.kind == libclang.kinds().ENUM_CONSTANT_DECL:
            return self._constant(cursor, value, of)
        if libclang.is_global(cursor.referenced):
            raise self.refused(
                cursor, f"{name} is a global variable", "state belongs in the fields of folio, page and MM"
            )
        return Value(self.unit.local(name), of, truth=of == BOOL)

    def _value_UNEXPOSED_EXPR(self, cursor: Cursor, of: Integer | None) -> Value:
        inner = [one for one in children(cursor) if one.kind.is_expression()][-1]
        value = self.value(inner)
        if value.ref and struct_of(cursor.type):
            return value
        if of:
            return converted(self._loaded(value), of)
        to, was = struct_of(cursor.type), struct_of(inner.type)
        if {to, was} == {"folio", "page"}:
            return Value(self.unit.called(f"as_{to}", value.text))
        if to not in (was, "void"):
            raise self.refused(cursor, f"a pointer to {was or inner.type.spelling} becomes one to {to}")
        return value

    _value_CSTYLE_CAST_EXPR = _value_UNEXPOSED_EXPR

    def _value_ARRAY_SUBSCRIPT_EXPR(self, cursor: Cursor, of: Integer | None) -> Value:
        array, index = children(cursor)
        if struct_of(array.type) in self.unit.structs:
            return Value(self.unit.called("nth_page", f"{self.value(array).text}, {self.number(index).text}"))
        return Value(f"{self.value(array).text}[{self.number(index).text}]", of, ref=True)

    def _value_CONDITIONAL_OPERATOR(self, cursor: Cursor, of: Integer | None) -> Value:
        test, then, other = children(cursor)
        asked = self.condition(test)
        if asked.const is not None:
            return self.value(then if asked.const else other)
        a, b = self.number(then), self.number(other)
        if of:
            a, b = converted(a, of), converted(b, of)
        return Value(f"({a.text}) if {asked.text} else ({b.text})", of, truth=a.truth and b.truth)

    # -- fields --------------------------------------------------------------------------------------
    def _value_MEMBER_REF_EXPR(self, cursor: Cursor, of: Integer | None) -> Value:
        base, kinds = children(cursor)[0], libclang.kinds()
        while base.kind in (kinds.UNEXPOSED_EXPR, kinds.PAREN_EXPR) or (
            base.kind == kinds.MEMBER_REF_EXPR and _is_anonymous(base.spelling)
        ):
            base = children(base)[0]
        owner = struct_of(base.type) or base.type.get_canonical().spelling.removeprefix("const ").removeprefix(
            "struct "
        )
        if owner == "vm_area_struct" and cursor.spelling == "vm_mm":
            return self.value(base)
        pointer = self.value(base)
        if owner == "folio" and cursor.spelling == "page":
            return Value(self.unit.called("as_page", pointer.text))
        if owner == "mm_struct" and cursor.spelling == "mm_id":
            return Value(f"{pointer.text}.mm_id", of, low=0, high=INT.high, ref=True)
        if owner not in self.unit.structs:
            raise self.refused(
                cursor, f"looks at {owner}->{cursor.spelling}", "a policy has the folio, its pages and the MM"
            )
        self.unit.note_field(owner, cursor)
        return Value(f"{pointer.text}.{cursor.spelling}", of, ref=True)

    # -- operators -----------------------------------------------------------------------------------
    def _value_UNARY_OPERATOR(self, cursor: Cursor, of: Integer | None) -> Value:
        sign, inner = operator(cursor), children(cursor)[0]
        if sign == "!":
            return negated(self.condition(inner))
        if sign in ("*", "&"):
            return self._pointed(cursor, inner, of) if sign == "*" else self._address(cursor, inner)
        if sign in ("++", "--", "post++", "post--"):
            if (cursor.location.line, cursor.location.column) in self.stepped:
                return self.value(inner)
            raise self.refused(
                cursor, f"{sign.removeprefix('post')} inside of an expression", "write it as a statement"
            )
        if of is None:
            raise self.refused(cursor, f"the operator {sign} of a {inner.type.spelling}")
        value = converted(self.number(inner), of)
        if sign == "~":
            return inverted(value, of)
        return calculated("-", constant(0, of), value, of, Place.of(cursor.location)) if sign == "-" else value

    def _pointed(self, cursor: Cursor, inner: Cursor, of: Integer | None) -> Value:
        """`*p` of a parameter that gives a result, or of the address of a field."""
        if is_out_parameter(inner.type) and bare(inner).spelling in self.outs:
            return Value(self.unit.local(bare(inner).spelling), of, truth=of == BOOL)
        value = self.value(inner)
        if not value.ref:
            raise self.refused(cursor, f"what {value.text} points to is used", "name the field: pointer->field")
        return replace(value, type=of)

    def _address(self, cursor: Cursor, inner: Cursor) -> Value:
        if inner.kind == libclang.kinds().DECL_REF_EXPR:
            hint = "pass it to a parameter `int *` or `bool *` of a function of the C text"
            raise self.refused(cursor, f"the address of {inner.spelling} is taken", hint)
        return replace(self.value(inner), type=None)

    def _value_BINARY_OPERATOR(self, cursor: Cursor, of: Integer | None) -> Value:
        sign, (a, b), place = operator(cursor), children(cursor), Place.of(cursor.location)
        if sign in ("&&", "||"):
            return self._both(sign, a, b)
        if sign in ("=", ","):
            what = "an assignment" if sign == "=" else "a comma"
            raise self.refused(cursor, f"{what} inside of an expression", "write a statement of its own")
        left, right = self.number(a), self.number(b)
        if struct_of(a.type):
            return self._of_pointers(cursor, sign, left, right, b.type)
        one, other = integer_of(a.type), integer_of(b.type)
        if one is None or other is None or of is None:
            raise self.refused(cursor, f"the operator {sign} of a {a.type.spelling} and a {b.type.spelling}")
        common = promoted(one, other)
        if sign in ("<", ">", "<=", ">=", "==", "!="):
            return compared(sign, converted(left, common), converted(right, common), common)
        if sign in ("<<", ">>"):
            return calculated(sign, converted(left, of), right, of, place)
        return calculated(sign, converted(left, of), converted(right, of), of, place)

    def _both(self, sign: str, a: Cursor, b: Cursor) -> Value:
        """`a && b` or `a || b`: the right side is not looked at where the left one decides."""
        decisive = int(sign == "||")
        left = self.condition(a)
        if left.const is not None:
            return left if left.const == decisive else self.condition(b)
        right = self.condition(b)
        if right.const is not None and right.const != decisive:
            return left
        return truth(f"({left.text}) {'and' if sign == '&&' else 'or'} ({right.text})")

    def _of_pointers(self, cursor: Cursor, sign: str, left: Value, right: Value, of: CType) -> Value:
        if sign not in ("+", "-") or struct_of(of):
            raise self.refused(
                cursor, f"the operator {sign} of two pointers", "compare numbers, such as MM IDs or page numbers"
            )
        return Value(self.unit.called("nth_page", f"{left.text}, {'' if sign == '+' else '-'}({right.text})"))

    # -- calls ---------------------------------------------------------------------------------------
    def call(self, cursor: Cursor, of: Integer | None) -> Value:
        """A call: of a primitive, a helper of the engine, or a function of the C text."""
        name, arguments = cursor.spelling, list(cursor.get_arguments())
        if name in self.facts:
            self.unit.note_fact(name, self.facts[name])
            return constant(self.facts[name], BOOL)
        if name == CHECK:
            raise self.refused(
                cursor, "the result of a check is used", "write the check as a statement, then the condition"
            )
        if name in ACCESSES:
            return self._access(cursor, ACCESSES[name], arguments)
        if name in PRIMITIVES or name in HELPERS:
            return self._known(cursor, PRIMITIVES.get(name) or HELPERS[name], arguments, of)
        if name == "page_folio":
            return Value(f"{self.unit.called('as_folio', self.value(arguments[0]).text)}")
        if self.results(cursor):
            hint = "assign its value to a variable, in a statement of its own"
            raise self.refused(cursor, f"{name} gives results through pointers inside of an expression", hint)
        if name not in self.unit.functions:
            raise self.refused(cursor, f"calls {name or 'a pointer'}, which is no primitive and not in the C text")
        return self.own(cursor, of)

    _value_CALL_EXPR = call

    def _access(self, cursor: Cursor, target: str, arguments: list[Cursor]) -> Value:
        """READ_ONCE and its like: the first argument is the address of a place."""
        place = bare(arguments[0])
        while place.kind == libclang.kinds().CSTYLE_CAST_EXPR:
            place = bare(children(place)[-1])
        ref = self.value(place)
        pointee = stored_as(place.type.get_pointee())
        if pointee is None:
            raise self.refused(cursor, f"{target} of a {place.type.get_pointee().spelling}")
        others = [converted(self.number(bare(one)), pointee).text for one in arguments[1:]]
        given = [*others, ref.text] if target == "xchg" else [ref.text, *others]
        return Value(self.unit.called(target, ", ".join(given)), pointee)

    def _known(self, cursor: Cursor, target: str, arguments: list[Cursor], of: Integer | None) -> Value:
        types = [one.type for one in cursor.referenced.get_arguments()]
        given = ", ".join(self.argument(one, kind) for one, kind in zip(arguments, types, strict=True))
        text = f"{target}({given})" if target in ("max", "min") else self.unit.called(target, given)
        if target in OF_BITS:
            self.unit.note_bit(self.number(arguments[0]), self.value(arguments[1]))
        if target == "folio_nr_pages":
            return Value(text, of, low=1, high=MOST_PAGES)
        return Value(text, of, truth=of == BOOL)

    def argument(self, cursor: Cursor, to: CType) -> str:
        """An argument as the parameter's type has it."""
        return converted(self.number(cursor) if integer_of(to) else self.value(cursor), integer_of(to)).text

    def own(self, cursor: Cursor, of: Integer | None) -> Value:
        """A call of a function of the C text: of the instance for its constant arguments."""
        consts: list[tuple[str, int]] = []
        given: list[str] = []
        for parameter, argument in self._pairs(cursor):
            kind = parameter.type
            if is_out_parameter(kind):
                given.append(self._out(argument))
                continue
            if kind.get_canonical().kind == libclang.types().ENUM or parameter.spelling == "flags":
                value = self.number(argument)
                if value.const is not None:
                    consts.append((parameter.spelling, value.const))
                    continue
            if not integer_of(kind) and not struct_of(kind):
                raise self.refused(cursor, f"passes a {kind.spelling}")
            given.append(self.argument(argument, kind))
        function = self.unit.instance(cursor.spelling, tuple(consts), self)
        return Value(f"{function}({', '.join(given)})", of, truth=of == BOOL)

    def _pairs(self, cursor: Cursor) -> list[tuple[Cursor, Cursor]]:
        parameters = list(self.unit.functions[cursor.spelling].get_arguments())
        return list(zip(parameters, cursor.get_arguments(), strict=True))

    def _out(self, argument: Cursor) -> str:
        """The caller's variable whose address is an argument."""
        inner = bare(argument)
        if inner.kind == libclang.kinds().UNARY_OPERATOR and operator(inner) == "&":
            inner = bare(children(inner)[0])
        if inner.kind != libclang.kinds().DECL_REF_EXPR:
            raise self.refused(
                argument, "the address of what is no variable is passed", "pass the address of a local variable"
            )
        return self.unit.local(inner.spelling)

    def results(self, cursor: Cursor) -> list[str]:
        """The variables that a call of a function of the C text sets through its parameters."""
        if cursor.spelling not in self.unit.functions:
            return []
        return [self._out(argument) for parameter, argument in self._pairs(cursor) if is_out_parameter(parameter.type)]

    def writes_engine(self, text: str) -> bool:
        """Whether a reference is to a field that the engine keeps."""
        return text.rpartition(".")[2].partition("[")[0] in ENGINE_FIELDS


def _is_anonymous(spelling: str) -> bool:
    return not spelling or "(anonymous" in spelling or "(unnamed" in spelling


def words(kind: str) -> str:
    """A kind of clang's cursors in words, for messages."""
    return "a " + kind.lower().removesuffix("_expr").removesuffix("_stmt").replace("_", " ")
