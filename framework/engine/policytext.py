"""What a policy's text may be: one check for all executions, before any of them runs it.

The interpreter would allow more than the compiler, and the solver less. What is refused here is refused everywhere, in
the same words, with file and line. FolioLab's own policies are checked by a test, which keeps the start short.
"""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import sys
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any, Final

from foliolab.framework.contract.hooks import HOOK_RESULTS, takes_vpn
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import hooks
from foliolab.framework.engine.structs import MM_FIELDS, PAGE_FIELDS, common_fields
from foliolab.framework.engine.textkinds import FIELD, NOTHING, NUMBER, POINTERS, Kinds, annotated, ends
from foliolab.framework.errors import PolicyTextError
from foliolab.framework.machine.calltree import FRAMEWORK, CallTree
from foliolab.framework.machine.primitives import EFFECTS, PRIMITIVES, VM_WARN_ON
from foliolab.framework.machine.source import definition, written_signature

OWN: Final = ("foliolab.policies", "foliolab.framework")
BUILTINS: Final = frozenset({"abs", "bool", "int", "len", "max", "min", "range"})
"""The functions of Python that a policy's text may call."""
STATE: Final = "state belongs in fields, where every processor sees it"
READ: Final = "read it by load() or atomic_read()"
PLAIN: Final = "write it with numbers, conditions, loops and calls of plain functions"

REFUSED: Final[dict[str, tuple[str, str]]] = {
    "Try": ("handles exceptions (try)", "no function that a policy may call raises one"),
    "TryStar": ("handles exceptions (try)", "no function that a policy may call raises one"),
    "Raise": ("raises an exception", "write assert for what must hold: where it fires, the law `checks` is broken"),
    "With": ("has a with statement", PLAIN),
    "Lambda": ("has a lambda", "write a function at the top level of the file"),
    "FunctionDef": ("defines a function inside of it", "write it at the top level of the file"),
    "ClassDef": ("defines a class", STATE),
    "Import": ("imports a module", "import functions and constants at the top of the file"),
    "ImportFrom": ("imports a module", "import functions and constants at the top of the file"),
    "Global": ("has a global statement", STATE),
    "Nonlocal": ("has a nonlocal statement", STATE),
    "Delete": ("deletes something", PLAIN),
    "Match": ("has a match statement", "write if and elif"),
    "Yield": ("is a generator (yield)", PLAIN),
    "YieldFrom": ("is a generator (yield)", PLAIN),
    "Await": ("waits (await)", PLAIN),
    "AsyncFunctionDef": ("defines a function inside of it", "write it at the top level of the file"),
    "AsyncFor": ("waits (async for)", PLAIN),
    "AsyncWith": ("waits (async with)", PLAIN),
    "List": ("makes a list", STATE),
    "Dict": ("makes a dict", STATE),
    "Set": ("makes a set", STATE),
    "ListComp": ("makes a list", STATE),
    "DictComp": ("makes a dict", STATE),
    "SetComp": ("makes a set", STATE),
    "GeneratorExp": ("makes a generator", PLAIN),
    "JoinedStr": ("makes a string", "a policy has numbers only"),
    "Starred": ("unpacks arguments (*)", "write them one by one"),
    "Slice": ("takes a slice", "take one element"),
    "Div": ("divides to a float (/)", "write //, which gives a whole number"),
    "MatMult": ("multiplies matrices (@)", "write *"),
}
"""Kinds of syntax that a policy's text may not have: what it does, and what to do instead."""


def check_text(tree: CallTree, scheme: Scheme) -> None:
    """Check every function of a policy's text.

    Raises:
        PolicyTextError: a function has what no execution allows; the message names file and line.
    """
    authors = [one for one in tree.needs if not one.__module__.startswith(FRAMEWORK)]
    if not authors or all(one.__module__.startswith(OWN) for one in authors):
        return
    given = {hook: name for name, hook in scheme.policy.hooks.given().items()}
    fields = frozenset(field.name for field in scheme.fields)
    names = [one.name for one in (*PAGE_FIELDS, *MM_FIELDS)] + [one.name for one in common_fields(scheme.policy.layout)]
    engine = frozenset({"mem", "off", "struct", *names} - {"mm_id"})
    known = {hook: annotated(hooks.stub(name, takes_vpn(name, hook))) for hook, name in given.items()}
    kinds = Kinds(tree, authors, known, fields)
    for function in authors:
        if not function.__module__.startswith(OWN):
            Text(function, tree, kinds, engine, given.get(function, "")).check()


class Text(ast.NodeVisitor):
    """The check of one function.

    Args:
        engine: the names of the engine's fields.
        hook: the hook that it is; empty for any other function.
    """

    def __init__(self, function: FunctionType, tree: CallTree, kinds: Kinds, engine: frozenset[str], hook: str) -> None:
        self.function = function
        self.tree = tree
        self.kinds = kinds
        self.fields = kinds.fields
        self.engine = engine
        self.hook = hook
        self.env = kinds.variables.get(function, {})

    def check(self) -> None:
        if self.function.__name__ == "<lambda>":
            self._refuse(self.function.__code__.co_firstlineno, *REFUSED["Lambda"])
        found = definition(self.function)
        if found is None:
            return  # it was generated: the executions report what they cannot run
        self._hook(found)
        for statement in found.body:
            self.visit(statement)
        self._returns(found)
        for step in dis.get_instructions(self.function.__code__):  # the compiler has calculated with constants
            if isinstance(step.argval, int) and step.opname == "LOAD_CONST" and step.positions is not None:
                self._value(step.positions.lineno or found.lineno, step.argval, str(step.argval))

    def _refuse(self, at: ast.AST | int, what: str, hint: str) -> None:
        line = at if isinstance(at, int) else getattr(at, "lineno", self.function.__code__.co_firstlineno)
        where = f"{self.function.__code__.co_filename}:{line}"
        raise PolicyTextError(f"{self.function.__qualname__} at {where} {what}", hint)

    # -- hooks -----------------------------------------------------------------------------------------
    def _hook(self, found: ast.FunctionDef) -> None:
        """The arguments of a hook stand in the hook's order; known names elsewhere are a mistake."""
        if not self.hook or not hasattr(hooks, self.hook):
            return
        wanted = list(written_signature(hooks.stub(self.hook, takes_vpn(self.hook, self.function))).parameters)
        given = [one.arg for one in found.args.args]
        for name, right in zip(given, wanted, strict=False):
            if name != right and name in wanted:
                self._refuse(
                    found, f"takes ({', '.join(given)}), but the hook {self.hook} gets ({', '.join(wanted)})",
                    "put the arguments in this order",
                )  # fmt: skip

    def _returns(self, found: ast.FunctionDef) -> None:
        """A function returns the same number of values on every path; a hook what it must."""
        answers = [node for node in ast.walk(found) if isinstance(node, ast.Return)]
        values = [one for one in answers if one.value is not None and not _is_none(one.value)]
        wanted = HOOK_RESULTS.get(self.hook, "")
        if not values and not wanted:
            return
        hint = f"return {wanted or 'a value'} on every path"
        for one in answers:
            if one not in values:
                self._refuse(one, self._wrong(wanted, "nothing here"), hint)
        if not ends(found.body):
            self._refuse(found, self._wrong(wanted, "nothing at its end"), hint)
        for one in values:
            if wanted and one.value is not None:
                self._answer(one.value, wanted, hint)

    def _wrong(self, wanted: str, instead: str) -> str:
        if not wanted:
            return f"returns a value on some paths, and {instead}"
        return f"is wrong: the hook {self.hook} does not return {wanted}, but {instead}"

    def _answer(self, value: ast.expr, wanted: str, hint: str) -> None:
        """Refuse a returned expression that is not what the hook must answer."""
        text, kind = ast.unparse(value), self.kinds.of(value, self.env, self.function)
        parts = len(value.elts) if isinstance(value, ast.Tuple) else 0
        size = wanted.count(",") + 1 if wanted.startswith("(") else 0
        if kind == NOTHING:
            self._refuse(value, self._wrong(wanted, f"what {text} gives: nothing"), hint)
        if (parts and parts != size) or (size and kind in (NUMBER, FIELD)) or kind in POINTERS:
            self._refuse(value, self._wrong(wanted, text), hint)
        for part in value.elts if isinstance(value, ast.Tuple) else (value,):
            self._number(part)

    # -- syntax ----------------------------------------------------------------------------------------
    def visit(self, node: ast.AST) -> None:
        if what := REFUSED.get(type(node).__name__):
            self._refuse(node, *what)
        getattr(self, f"visit_{type(node).__name__}", self.generic_visit)(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):  # a text for readers
            self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        self._number(node.test)
        self.visit(node.test)
        self._only_reads(node.test)  # the message is for readers

    def _only_reads(self, condition: ast.expr) -> None:
        """A check may not do what is missing where the check is missing."""
        for one in ast.walk(condition):
            called = self.kinds.called(one, self.function) if isinstance(one, ast.Call) else None
            if called in PRIMITIVES and EFFECTS[called] not in ("load", "compute"):
                self._refuse(
                    one, f"calls {called.__name__} in a check", "a check only reads: it is not in what is timed"
                )

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not _is_none(node.value):
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        self._value(node, node.value, repr(node.value))

    def _value(self, node: ast.AST | int, value: object, text: str) -> None:
        if isinstance(value, float | complex):
            self._refuse(node, f"has the number {text}, which is not whole", "a policy has whole numbers only")
        if isinstance(value, str | bytes):
            self._refuse(node, f"has the string {text:.40}", "a policy has numbers only")
        if value is None or value is ...:
            self._refuse(node, f"has the value {text}", "a policy has numbers only")
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            same = f"; the same bits are {value - (1 << 64)}" if 0 < value < 1 << 64 else ""
            self._refuse(
                node, f"has the number {text}, which does not fit 64 bits", f"numbers are -2**63 to 2**63 - 1{same}"
            )

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id not in self.env:
            value = self._global(node.id)
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, int | float | complex | str | bytes):
                    self._value(node, part, f"{node.id} = {part!r}")

    def _global(self, name: str) -> object:
        space = self.function.__globals__
        return self.tree.constants.get((self.function.__module__, name), space.get(name))

    def _targets(self, targets: Iterable[ast.expr]) -> None:
        for target in targets:
            if isinstance(target, ast.Tuple | ast.List):
                self._targets(target.elts)
            elif not isinstance(target, ast.Name):
                text = ast.unparse(target)
                self._refuse(target, f"assigns to {text}", f"write store({text}, …), or an atomic operation")

    def visit_Assign(self, node: ast.Assign) -> None:
        self._targets(node.targets)
        self.visit(node.value)
        if self.kinds.of(node.value, self.env, self.function) == NOTHING:
            self._refuse(node, f"uses the result of {ast.unparse(node.value)}, which gives none", PLAIN)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._targets([node.target])
        if node.value is not None:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._targets([node.target])
        self._number(node.target)
        self._number(node.value)
        self.visit(node.op)
        self.visit(node.value)

    def visit_For(self, node: ast.For) -> None:
        self._targets([node.target])
        if self.kinds.of(node.iter, self.env, self.function) and not isinstance(node.iter, ast.Call):
            self._refuse(node, f"loops over {ast.unparse(node.iter)}", "loop over range(…)")
        self.generic_visit(node)

    # -- expressions -----------------------------------------------------------------------------------
    def _number(self, node: ast.expr) -> None:
        kind = self.kinds.of(node, self.env, self.function)
        if kind == FIELD:
            self._refuse(node, f"uses the field {ast.unparse(node)} as if it were its value", READ)
        if kind == NOTHING:
            self._refuse(node, f"uses the result of {ast.unparse(node)}, which gives none", PLAIN)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._number(node.left)
        self._number(node.right)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._number(node.operand)
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and node.operand.value == 1 << 63:
            return
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for one in (node.left, *node.comparators):
            self._number(one)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for one in node.values:
            self._number(one)
        self.generic_visit(node)

    def visit_If(self, node: ast.If | ast.While | ast.IfExp) -> None:
        self._number(node.test)
        self.generic_visit(node)

    visit_While = visit_IfExp = visit_If

    def visit_Attribute(self, node: ast.Attribute) -> None:
        kind = self.kinds.of(node.value, self.env, self.function)
        text = ast.unparse(node)
        if isinstance(node.value, ast.Name) and isinstance(self._global(node.value.id), ModuleType):
            module = self._global(node.value.id)
            self._value(node, vars(module).get(node.attr, 0), text)
            return
        if kind in (NUMBER, FIELD):
            self._refuse(
                node, f"uses {text}, but {ast.unparse(node.value)} is a {kind}", "fields are those of a pointer"
            )
        if kind in POINTERS and node.attr in self.engine and node.attr not in self.fields:
            self._refuse(
                node, f"uses {text}, which is not a field of the policy",
                "call what foliolab.framework.api has for it, such as folio_order, or declare a field of your own",
            )  # fmt: skip
        self.visit(node.value)

    # -- calls -----------------------------------------------------------------------------------------
    def visit_Call(self, node: ast.Call) -> None:
        called = self.kinds.called(node, self.function)
        text = ast.unparse(node.func)
        if called is VM_WARN_ON:
            for one in node.args:
                self._number(one)
                self._only_reads(one)
        if called is None:
            what = "the method " if isinstance(node.func, ast.Attribute) else ""
            self._refuse(node, f"calls {what}{text}", "call functions of your file and of foliolab.framework.api")
        if called is print:
            self._refuse(node, "prints", "remove it; `foliolab step` shows every access of a counterexample")
        if isinstance(called, FunctionType):
            self._arguments(node, called, text)
            self._origin(node, called, text)
        elif not any(called is getattr(builtins, name) for name in BUILTINS):
            self._refuse(
                node, f"calls {text}, which no execution knows",
                f"call functions of your file, of foliolab.framework.api, or {', '.join(sorted(BUILTINS))}",
            )  # fmt: skip
        else:
            for one in node.args:
                self._number(one)
        for one in (*node.args, *(word.value for word in node.keywords)):
            self.visit(one)

    def _origin(self, node: ast.Call, called: FunctionType, text: str) -> None:
        top = called.__module__.partition(".")[0]
        if (top in sys.stdlib_module_names and top != "__main__") or top == "numpy":
            self._refuse(node, f"calls {text} of {top}", "call functions of your file and of foliolab.framework.api")

    def _arguments(self, node: ast.Call, called: FunctionType, text: str) -> None:
        parameters = list(written_signature(called).parameters.values())
        names = [one.name for one in parameters]
        takes = f"{text}({', '.join(names)})"
        least = sum(one.default is inspect.Parameter.empty for one in parameters)
        count = len(node.args) + len(node.keywords)
        if not least <= count <= len(names) or any(word.arg not in names for word in node.keywords):
            self._refuse(node, f"calls {ast.unparse(node)}", f"the function is {takes}")
        if node.keywords and called in PRIMITIVES:
            self._refuse(node, f"names arguments of {text}", f"write {takes}")
        for one, wanted in zip(node.args, self.kinds.wanted(called), strict=False):
            kind = self.kinds.of(one, self.env, self.function)
            if wanted and kind and (wanted != kind) and not (wanted in POINTERS and kind in POINTERS):
                hint = f"the function is {takes}"
                if _swapped(node, self, called):
                    hint += ": the arguments seem to be swapped"
                elif wanted == NUMBER:
                    self._number(one)
                is_ = "gives nothing" if kind == NOTHING else f"is a {kind}"
                what = f"calls {ast.unparse(node)}: {ast.unparse(one)} {is_}"
                self._refuse(node, what, hint)


def _swapped(node: ast.Call, text: Text, called: FunctionType) -> bool:
    given: list[Any] = [text.kinds.of(one, text.env, text.function) for one in node.args]
    wanted = text.kinds.wanted(called)
    return len(given) == len(wanted) and sorted(map(str, given)) == sorted(map(str, wanted))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
