"""Statements of C as statements of a policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from foliolab.framework.csource import libclang
from foliolab.framework.csource.controlflow import (
    BREAK,
    Block,
    Do,
    For,
    If,
    Jump,
    Return,
    Statement,
    While,
    assigned,
    continues,
    counts,
    falls,
    loop_body,
    names,
    without_jumps,
)
from foliolab.framework.csource.expression import Expressions, words
from foliolab.framework.csource.integer import Integer, integer_of, promoted, struct_of
from foliolab.framework.csource.libclang import Cursor, bare, children, evaluated, operator
from foliolab.framework.csource.place import Place
from foliolab.framework.csource.value import Value, calculated, converted, refused
from foliolab.framework.csource.vocabulary import CHECK, UNREACHABLE
from foliolab.framework.errors import CSourceError

_ATOMIC: Final = re.compile(r"atomic_(?:set|inc|dec|add|sub)\((?:.*, )?(\w+\.\w+)(?:, .*)?\)")
FOLLOWED: Final = ("", "folio", "page", "atomic_t", "unsigned long", "mm_struct", "vm_area_struct")
"""What local pointers may point to; others are followed only where they are used, and then refused."""


class Statements(Expressions):
    """The statements of one function.

    Attributes:
        answers: the variables in which calls of the kernel's statistics leave what changed; none where the function
            tells them nothing.
        result: the function's integer type, if it has one.
    """

    answers: tuple[str, ...] = ()
    result: Integer | None = None

    # -- blocks --------------------------------------------------------------------------------------
    def block(self, cursors: list[Cursor]) -> Block:
        """Statements in a row; a label ends a part that jumps forward may leave."""
        kinds = libclang.kinds()
        for i, cursor in enumerate(cursors):
            if cursor.kind == kinds.LABEL_STMT:
                before = self.block(cursors[:i])
                after = self.block([*children(cursor), *cursors[i + 1 :]])
                return (*without_jumps(before, cursor.spelling, self.unit.fresh), *after)
        made: list[Statement] = []
        for cursor in cursors:
            made += self.statement(cursor)
            if not falls(made):
                break
        return tuple(made)

    def statement(self, cursor: Cursor) -> Block:
        """One statement.

        Raises:
            CSourceError: it has no translation; names file, line and construct.
        """
        place = Place.of(cursor.location)
        translate: Callable[[list[Cursor], Place], Block] | None = getattr(self, f"_do_{cursor.kind.name}", None)
        return translate(children(cursor), place) if translate else self.effect(cursor, place)

    def _do_COMPOUND_STMT(self, inner: list[Cursor], place: Place) -> Block:
        return self.block(inner)

    def _do_NULL_STMT(self, inner: list[Cursor], place: Place) -> Block:
        return ()

    def _do_DECL_STMT(self, inner: list[Cursor], place: Place) -> Block:
        return tuple(one for declared in inner for one in self._declared(declared, place))

    def _do_GOTO_STMT(self, inner: list[Cursor], place: Place) -> Block:
        return (Jump(inner[0].spelling, place),)

    def _do_BREAK_STMT(self, inner: list[Cursor], place: Place) -> Block:
        return (Jump(BREAK, place),)

    def _do_CONTINUE_STMT(self, inner: list[Cursor], place: Place) -> Block:
        return (Do("continue", place),)

    def _declared(self, cursor: Cursor, place: Place) -> Block:
        if cursor.kind != libclang.kinds().VAR_DECL:
            raise refused(place, f"{words(cursor.kind.name)} inside of a function", "declare it at the top of the file")
        if libclang.is_global(cursor):
            raise refused(place, f"{cursor.spelling} is static", "state belongs in the fields of folio, page and MM")
        given = [one for one in children(cursor) if one.kind.is_expression()]
        self.known.pop(cursor.spelling, None)
        if not given:
            return ()
        called = bare(given[0])
        if called.kind == libclang.kinds().CALL_EXPR and (results := self.results(called)):
            return self._several(cursor.spelling, called, results, place)
        of = integer_of(cursor.type)
        try:
            value = self._assignable(given[0], cursor, place)
        except CSourceError as fault:
            self.known[cursor.spelling] = (
                fault  # whoever uses it is refused; a check that is left out may have been all
            )
            return ()
        if value.const is not None and cursor.type.is_const_qualified():
            self.known[cursor.spelling] = converted(value, of)
            return ()
        return (Do(f"{self.unit.local(cursor.spelling)} = {converted(value, of).text}", place),)

    def _assignable(self, cursor: Cursor, target: Cursor, place: Place) -> Value:
        """A value for a variable: a number, or a pointer that a policy can have."""
        if integer_of(target.type):
            return self.number(cursor)
        if struct_of(target.type) not in FOLLOWED:
            raise refused(place, f"uses a {target.type.spelling}", "a policy has the folio, its pages and the MM")
        return self.value(cursor)

    def _do_IF_STMT(self, inner: list[Cursor], place: Place) -> Block:
        test = bare(inner[0])
        if test.kind == libclang.kinds().CALL_EXPR and test.spelling == CHECK:
            return (*self._check(test, place), *(self.statement(inner[2]) if len(inner) > 2 else ()))
        asked = self.condition(inner[0])
        if asked.const is not None:
            if asked.const:
                return self.statement(inner[1])
            return self.statement(inner[2]) if len(inner) > 2 else ()
        before = dict(self.known)
        then = self.statement(inner[1])
        self.known = dict(before)
        other = self.statement(inner[2]) if len(inner) > 2 else ()
        self.known = before
        return (If(asked.text, then, other, place),)

    def _do_SWITCH_STMT(self, inner: list[Cursor], place: Place) -> Block:
        kinds, chosen = libclang.kinds(), self.number(inner[0]).const
        if chosen is None:
            raise refused(place, "a switch over what is not known here", "write if and else")
        flat: list[Cursor] = []
        start = default = None
        for cursor in children(inner[1]):
            inside = cursor
            while inside.kind in (kinds.CASE_STMT, kinds.DEFAULT_STMT):
                *label, inside = children(inside)
                if not label:
                    default = len(flat)
                elif evaluated(label[0]) == chosen:
                    start = len(flat)
            flat.append(inside)
        first = start if start is not None else default
        return without_jumps(self.block(flat[first:]), BREAK, self.unit.fresh) if first is not None else ()

    def _do_RETURN_STMT(self, inner: list[Cursor], place: Place) -> Block:
        if self.answers:
            return (Return(", ".join(self.answers), place),)
        outs = [self.unit.local(name) for name in self.outs]
        if not inner:
            return (Return(", ".join(outs), place),)
        called = bare(inner[0])
        if called.kind == libclang.kinds().CALL_EXPR and (results := self.results(called)):
            name = self.unit.fresh("result")
            return (*self._several(name, called, results, place), Return(", ".join([name, *outs]), place))
        value = self.number(inner[0]) if self.result else self.value(inner[0])
        return (Return(", ".join([converted(value, self.result).text, *outs]), place),)

    # -- loops ---------------------------------------------------------------------------------------
    def _do_WHILE_STMT(self, inner: list[Cursor], place: Place) -> Block:
        test = self.condition(inner[0])
        if test.const == 0:
            return ()
        return (While(test.text, loop_body(self.statement(inner[1])), place),)

    def _do_DO_STMT(self, inner: list[Cursor], place: Place) -> Block:
        body, test = inner
        steps, asked = _comma(test)
        if evaluated(asked) == 0 and not steps:
            return without_jumps(self.statement(body), BREAK, self.unit.fresh)
        if counted := self._over_pages(steps, asked):
            name, pointers = counted
            return self._for_pages(name, pointers, body, place)
        inside = loop_body(self.statement(body))
        if continues(inside):
            raise refused(place, "continue in a do loop", "write a while loop")
        before = tuple(one for step in steps for one in self.effect(step, place))
        pulled = self._pulled(asked)
        leave = If(f"not ({self.condition(asked).text})", (Do("break", place),), (), place)
        return (While("True", (*inside, *before, *pulled, leave), place),)

    def _over_pages(self, steps: list[Cursor], test: Cursor) -> tuple[str, list[tuple[str, int]]] | None:
        """The number and the pointers of the kernel's `do … while (page++, --nr > 0)`; None for any other loop."""
        test = bare(test)
        pointers = [_step(step) for step in steps]
        if test.kind != libclang.kinds().BINARY_OPERATOR or operator(test) != ">":
            return None
        counter, zero = children(test)
        number = _step(counter)
        if number is None or number[1] != -1 or evaluated(zero) != 0 or not all(pointers):
            return None
        return number[0], [one for one in pointers if one is not None]

    def _for_pages(self, counter: str, pointers: list[tuple[str, int]], body: Cursor, place: Place) -> Block:
        """The loop over pages as one that counts: its number of turns is known before it begins."""
        i, before = self.unit.fresh("i"), dict(self.known)
        number = self.unit.local(counter)
        for pointer, by in pointers:
            sign = "" if by > 0 else "-"
            self.known[pointer] = Value(self.unit.called("nth_page", f"{self.unit.local(pointer)}, {sign}{i}"))
        inside = loop_body(self.statement(body))
        self.known = before
        self._fixed(inside, {number, *(self.unit.local(name) for name, _ in pointers)}, place)
        after = []
        for pointer, by in pointers:
            name = self.unit.local(pointer)
            after.append(Do(f"{name} = {self.unit.called('nth_page', f'{name}, {by} * {number}')}", place))
        return (For(i, number, inside, place), *after, Do(f"{number} = 0", place))

    def _do_FOR_STMT(self, inner: list[Cursor], place: Place) -> Block:
        if len(inner) != 4:
            raise refused(place, "a for loop without one of its parts", "write for (i = 0; i < n; i++)")
        begin, test, step, body = inner
        moved, (counter, count) = _step(step), _sides(test)
        first = children(begin)[-1] if begin.kind != libclang.kinds().DECL_STMT else children(children(begin)[0])[-1]
        if not moved or moved[1] != 1 or counter is None or bare(counter).spelling != moved[0] or evaluated(first) != 0:
            raise refused(place, "a for loop that does not count up from 0", "write for (i = 0; i < n; i++)")
        self.known.pop(moved[0], None)
        name, turns = self.unit.local(moved[0]), self.number(count).text
        if not counts(turns):
            raise refused(place, f"the end of a for loop, {turns}, is asked in each turn", "keep it in a variable")
        inside = loop_body(self.statement(body))
        self._fixed(inside, {name, *names(turns)}, place)
        return (For(name, turns, inside, place),)

    def _fixed(self, body: Block, counted: set[str], place: Place) -> None:
        """Refuse a counting loop whose body changes what is counted."""
        for name in assigned(body):
            if name in counted:
                raise refused(place, f"the loop changes {name}, which it counts by", "write a while loop")

    def _pulled(self, test: Cursor) -> Block:
        """The steps `--nr` of a condition, as statements before it.

        Raises:
            CSourceError: a step is done only sometimes.
        """
        found: list[Cursor] = []
        for cursor, guarded in _steps(test):
            if guarded:
                raise self.refused(cursor, "a step that is done only sometimes", "write it as a statement")
            found.append(cursor)
        self.stepped = {(one.location.line, one.location.column) for one in found}
        return tuple(one for step in found for one in self.effect(step, Place.of(step.location)))

    # -- statements that are expressions ---------------------------------------------------------------
    def effect(self, cursor: Cursor, place: Place) -> Block:
        """An expression that stands as a statement."""
        kinds, cursor = libclang.kinds(), bare(cursor)
        while cursor.kind == kinds.CSTYLE_CAST_EXPR:
            cursor = bare(children(cursor)[-1])
        if moved := _step(cursor):
            return self._moved(children(cursor)[0], moved[1], place)
        if cursor.kind == kinds.BINARY_OPERATOR and operator(cursor) == "=":
            left, right = children(cursor)
            return self._assignment(left, right, place)
        if cursor.kind == kinds.BINARY_OPERATOR and operator(cursor) == ",":
            return tuple(one for part in children(cursor) for one in self.effect(part, place))
        if cursor.kind == kinds.COMPOUND_ASSIGNMENT_OPERATOR:
            left, right = children(cursor)
            return self._compound(left, right, operator(cursor)[:-1], place)
        if cursor.kind == kinds.CALL_EXPR:
            return self._called(cursor, place)
        if evaluated(cursor) is not None:
            return ()
        raise refused(place, f"{words(cursor.kind.name)} as a statement", "write an assignment or a call")

    def _moved(self, target: Cursor, by: int, place: Place) -> Block:
        if struct_of(target.type):
            name = self.value(target).text
            return (Do(f"{name} = {self.unit.called('nth_page', f'{name}, {by}')}", place),)
        of = integer_of(target.type)
        if of is None:
            raise refused(place, f"a step of a {target.type.spelling}", "step numbers and pages")
        old = self.value(target)
        value = calculated("+" if by > 0 else "-", self._loaded(old), Value("1", of, 1), of, place)
        return self._stored(target, old, value, place)

    def _assignment(self, left: Cursor, right: Cursor, place: Place) -> Block:
        called = bare(right)
        if called.kind == libclang.kinds().CALL_EXPR and (results := self.results(called)):
            if bare(left).kind != libclang.kinds().DECL_REF_EXPR:
                raise refused(
                    place, "a function with several results is assigned to a field", "assign it to a variable first"
                )
            return self._several(bare(left).spelling, called, results, place)
        try:
            value = self._assignable(right, left, place)
        except CSourceError as fault:
            if bare(left).kind != libclang.kinds().DECL_REF_EXPR or integer_of(left.type):
                raise
            self.known[bare(left).spelling] = fault
            return ()
        return self._stored(left, self._target(left), value, place)

    def _several(self, name: str, called: Cursor, results: list[str], place: Place) -> Block:
        """A call whose function gives more than its value."""
        self.known.pop(name, None)
        value = self.own(called, integer_of(called.type))
        first = [] if not integer_of(called.type) else [self.unit.local(name)]
        return (Do(f"{', '.join([*first, *results])} = {value.text}", place),)

    def _target(self, cursor: Cursor) -> Value:
        cursor = bare(cursor)
        if cursor.kind == libclang.kinds().DECL_REF_EXPR:
            self.known.pop(cursor.spelling, None)
        return self.value(cursor)

    def _compound(self, left: Cursor, right: Cursor, sign: str, place: Place) -> Block:
        of, other = integer_of(left.type), integer_of(right.type)
        if of is None and struct_of(left.type) and other:
            pointer, by = self.value(left).text, self.number(right).text
            return (Do(f"{pointer} = {self.unit.called('nth_page', f'{pointer}, {sign}({by})')}", place),)
        if of is None or other is None:
            raise refused(place, f"{sign}= of a {left.type.spelling}", "write it with numbers")
        old, common = self.value(left), promoted(of, other)
        if sign in ("<<", ">>"):
            common = promoted(of, of)
        operand = self.number(right) if sign in ("<<", ">>") else converted(self.number(right), common)
        value = calculated(sign, converted(self._loaded(old), common), operand, common, place)
        return self._stored(left, old, value, place)

    def _stored(self, left: Cursor, target: Value, value: Value, place: Place) -> Block:
        """An assignment. A number that is stored in a narrower field is not cut: a field that is too small is seen."""
        of = integer_of(left.type)
        if not target.ref:
            self.known.pop(bare(left).spelling, None)
            return (Do(f"{target.text} = {converted(value, of).text}", place),)
        if self.writes_engine(target.text):
            self.unit.note(place, f"{target.text} is the engine's: its store is left out")
            return ()
        whole = value if of and value.type and value.type.bits > of.bits and not value.truth else converted(value, of)
        return (Do(self.unit.called("store", f"{target.text}, {self._stored_text(whole, of)}"), place),)

    def _stored_text(self, value: Value, of: Integer | None) -> str:
        """A value as a field gets it: a constant as the field's own pattern."""
        return converted(value, of).text if value.const is not None or value.truth else value.text

    def _called(self, cursor: Cursor, place: Place) -> Block:
        """A call as a statement."""
        name, given = cursor.spelling, self.unit.vocabulary
        if name == CHECK:
            return self._check(cursor, place)
        if name == UNREACHABLE:
            return (Do(self.unit.called("VM_WARN_ON", "True"), place),)
        if name in given.answers:
            arguments = list(cursor.get_arguments())
            told = given.answers[name].items()
            return tuple(Do(f"{variable} = {self.number(arguments[at]).text}", place) for variable, at in told)
        if name in given.ignored:
            self.unit.note(place, f"{name} does nothing that a policy has to do")
        if name in given.ignored or name in self.facts:
            return ()
        return self._call(cursor, place)

    def _call(self, cursor: Cursor, place: Place) -> Block:
        """A call whose value nobody uses."""
        if results := self.results(cursor):
            return self._several(self.unit.fresh("unused"), cursor, results, place)
        value = self.call(cursor, integer_of(cursor.type))
        if self.unit.answers_of(cursor.spelling):
            return (Do(f"{', '.join(self.answers)} = {value.text}", place),)
        if (changed := _ATOMIC.fullmatch(value.text)) and self.writes_engine(changed[1]):
            self.unit.note(place, f"{changed[1]} is the engine's: its change is left out")
            return ()
        return (Do(value.text, place),) if value.const is None else ()

    def _check(self, cursor: Cursor, place: Place) -> Block:
        """VM_WARN_ON and its like: a check of the policy's text."""
        (condition,) = cursor.get_arguments()
        try:
            asked = self.condition(condition)
        except CSourceError as fault:
            if not self.unit.drops_checks:
                raise
            self.unit.note(place, f"the check is left out: {fault.what}")
            return ()
        if asked.const == 0:
            return ()
        return (Do(self.unit.called("VM_WARN_ON", asked.text), place),)


def _comma(cursor: Cursor) -> tuple[list[Cursor], Cursor]:
    """The expressions before the last comma, and the last one."""
    cursor = bare(cursor)
    if cursor.kind == libclang.kinds().BINARY_OPERATOR and operator(cursor) == ",":
        first, last = children(cursor)
        before, middle = _comma(first)
        return [*before, middle], last
    return [], cursor


def _step(cursor: Cursor) -> tuple[str, int] | None:
    """The variable and direction of `x++` and its like; None for any other expression."""
    cursor = bare(cursor)
    if cursor.kind != libclang.kinds().UNARY_OPERATOR:
        return None
    sign = operator(cursor).removeprefix("post")
    return (bare(children(cursor)[0]).spelling, 1 if sign == "++" else -1) if sign in ("++", "--") else None


def _steps(cursor: Cursor, guarded: bool = False) -> Iterator[tuple[Cursor, bool]]:
    """Each `x++` in an expression, and whether it is done only sometimes."""
    kinds = libclang.kinds()
    if _step(cursor) and cursor.kind == kinds.UNARY_OPERATOR:
        yield cursor, guarded
    branches = cursor.kind == kinds.CONDITIONAL_OPERATOR or (
        cursor.kind == kinds.BINARY_OPERATOR and operator(cursor) in ("&&", "||")
    )
    for i, inner in enumerate(children(cursor)):
        yield from _steps(inner, guarded or (branches and i > 0))


def _sides(test: Cursor) -> tuple[Cursor | None, Cursor]:
    """The two sides of `i < n`; None and the whole for any other condition."""
    test = bare(test)
    if test.kind == libclang.kinds().BINARY_OPERATOR and operator(test) == "<":
        a, b = children(test)
        return a, b
    return None, test
