"""The parser: libclang's bindings, with the few functions that they leave out.

The wheel `libclang` holds the bindings and the library; both come with the extra `c`. Nothing else imports them at the
start of the program.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from foliolab.framework.csource.place import Place
from foliolab.framework.errors import CSourceError

Cursor = Any
"""A node of clang's syntax tree (`clang.cindex.Cursor`)."""
CType = Any
"""A type as clang sees it (`clang.cindex.Type`)."""
BINARY: Final[Sequence[str]] = (
    "", "PtrMemD", "PtrMemI", "*", "/", "%", "+", "-", "<<", ">>", "<=>", "<", ">", "<=", ">=", "==", "!=", "&", "^",
    "|", "&&", "||", "=", "*=", "/=", "%=", "+=", "-=", "<<=", ">>=", "&=", "^=", "|=", ",",
)  # fmt: skip
"""The operators of CXBinaryOperatorKind, by number."""
UNARY: Final[Sequence[str]] = ("", "post++", "post--", "++", "--", "&", "*", "+", "-", "~", "!")
"""The operators of CXUnaryOperatorKind, by number."""
ARGUMENTS: Final = (
    "-std=gnu11",
    "-fwrapv",
    "-nostdinc",
    "-Wno-everything",
    "-ferror-limit=0",
    "--target=x86_64-linux-gnu",
)
_ERROR: Final = 3
_INTEGER: Final = 1


@cache
def bindings() -> Any:
    """The module `clang.cindex`, with the functions declared that FolioLab uses.

    Raises:
        CSourceError: it is not installed.
    """
    try:
        from clang import cindex  # type: ignore[import-untyped]  # libclang's bindings have no types
    except ImportError as fault:
        raise CSourceError(
            f"C is read by libclang, which is not installed ({fault})", "install it: pip install 'foliolab[c]'"
        ) from fault
    try:
        library = cindex.conf.lib
    except cindex.LibclangError as fault:
        raise CSourceError(f"libclang cannot be loaded: {fault}", "install it: pip install 'foliolab[c]'") from fault
    for name, result in (
        ("getKind", ctypes.c_int), ("getAsLongLong", ctypes.c_longlong), ("isUnsignedInt", ctypes.c_uint),
        ("getAsUnsigned", ctypes.c_ulonglong), ("dispose", None),
    ):  # fmt: skip
        function = getattr(library, f"clang_EvalResult_{name}")
        function.argtypes, function.restype = [ctypes.c_void_p], result
    library.clang_Cursor_Evaluate.argtypes = [cindex.Cursor]
    library.clang_Cursor_Evaluate.restype = ctypes.c_void_p
    for name in ("clang_getCursorBinaryOperatorKind", "clang_getCursorUnaryOperatorKind"):
        getattr(library, name).argtypes, getattr(library, name).restype = [cindex.Cursor], ctypes.c_int
    return cindex


def kinds() -> Any:
    """clang's enumeration of the kinds of nodes, such as CALL_EXPR."""
    return bindings().CursorKind


def types() -> Any:
    """clang's enumeration of the kinds of types, such as POINTER."""
    return bindings().TypeKind


def parsed(main: str, files: Mapping[str, str]) -> Cursor:
    """The syntax tree of a translation unit.

    Args:
        main: the text that includes the others.
        files: the texts of files, by the names under which they are included; none is read from the disk.

    Raises:
        CSourceError: the text has an error, or includes another file; names its file and line. clang drops what it
            cannot type, and takes an unknown function for one that returns int: an error of any kind refuses the whole.
    """
    cindex = bindings()
    for name in files:
        if not name.isprintable() or '"' in name:
            raise CSourceError(f"the name {name!r} is none that C text can include", "rename the file or its folder")
    given = [(MAIN, main), *files.items()]
    try:
        unit = cindex.Index.create().parse(MAIN, args=[*ARGUMENTS, "-Werror=implicit"], unsaved_files=given)
    except cindex.TranslationUnitLoadError as fault:
        raise CSourceError("clang crashed at the C text, or had not enough memory for it", "shorten it") from fault
    for one in unit.get_includes():
        if (name := str(one.include.name)) not in files:
            raise CSourceError(f"{Place.of(one.location)}: includes {name}", "write what it needs in the file itself")
    wrong = [one for one in unit.diagnostics if one.severity >= _ERROR]
    if wrong:
        place = _reported(wrong[0].location, main)
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise CSourceError(f"{place}: {wrong[0].spelling}{more}", "correct the C text")
    return unit.cursor


def _reported(location: Any, main: str) -> str:
    """The place of an error. What a file leaves open, such as a parenthesis, is an error only behind its end."""
    place = Place.of(location)
    if place.file != MAIN:
        return str(place)
    before = INCLUDED.findall("\n".join(main.splitlines()[: place.line]))
    return f"the end of {before[-1]}" if before else "the text around the C files"


INCLUDED: Final = re.compile(r'^#include "(.*)"', re.MULTILINE)
CALLBACK: Final = 20
"""Frames that the bindings' callback for a node needs, and some more."""
DEEPEST: Final = 200
"""Levels of clang's tree that a function may have. Python's parser takes as many nested parentheses."""
MAIN: Final = "/foliolab.c"
"""The name of the text that includes all others."""


def operator(cursor: Cursor) -> str:
    """The operator of a binary or unary expression."""
    library, kind = bindings().conf.lib, kinds()
    if cursor.kind == kind.UNARY_OPERATOR:
        return UNARY[int(library.clang_getCursorUnaryOperatorKind(cursor))]
    return BINARY[int(library.clang_getCursorBinaryOperatorKind(cursor))]


def evaluated(cursor: Cursor) -> int | None:
    """The value of an expression that clang can calculate; None for any other."""
    library = bindings().conf.lib
    result = library.clang_Cursor_Evaluate(cursor)
    if not result:
        return None
    try:
        if library.clang_EvalResult_getKind(result) != _INTEGER:
            return None
        unsigned = library.clang_EvalResult_isUnsignedInt(result)
        name = "getAsUnsigned" if unsigned else "getAsLongLong"
        return int(getattr(library, f"clang_EvalResult_{name}")(result))
    finally:
        library.clang_EvalResult_dispose(result)


def children(cursor: Cursor) -> list[Cursor]:
    """The nodes directly below a node.

    Raises:
        RecursionError: the caller is nested too deep. Where clang's callback met that, nodes would be missing.
    """
    _have_room(CALLBACK)
    return list(cursor.get_children())


def _have_room(frames: int) -> None:
    if frames:
        _have_room(frames - 1)


def _walk(cursor: Cursor) -> Iterator[Cursor]:
    """A node and all below it, in the order of the text. clang's own walk needs a frame for each level.

    Raises:
        CSourceError: it is nested deeper than DEEPEST.
    """
    todo = [(cursor, 0)]
    while todo:
        one, depth = todo.pop()
        if depth > DEEPEST:
            raise CSourceError(f"{Place.of(one.location)}: is nested too deep", "divide the expression or the function")
        yield one
        todo += [(below, depth + 1) for below in reversed(children(one))]


def bare(cursor: Cursor) -> Cursor:
    """An expression without the parentheses and implicit conversions around it."""
    kind = kinds()
    while cursor.kind in (kind.PAREN_EXPR, kind.UNEXPOSED_EXPR):
        inner = children(cursor)
        if len(inner) != 1:
            break
        cursor = inner[0]
    return cursor


def calls(cursor: Cursor) -> Iterator[Cursor]:
    """Every call in a function or expression."""
    kind = kinds().CALL_EXPR
    return (one for one in _walk(cursor) if one.kind == kind)


def changed(cursor: Cursor) -> frozenset[str]:
    """The variables that a function's body assigns or steps. Raises as `_walk`."""
    kind = kinds()
    found = set()
    for one in _walk(cursor):
        assigns = one.kind == kind.COMPOUND_ASSIGNMENT_OPERATOR or (
            one.kind in (kind.BINARY_OPERATOR, kind.UNARY_OPERATOR)
            and operator(one) in ("=", "++", "--", "post++", "post--")
        )
        target = bare(children(one)[0]) if assigns else None
        if target is not None and target.kind == kind.DECL_REF_EXPR:
            found.add(target.spelling)
    return frozenset(found)


def is_global(declared: Cursor) -> bool:
    """Whether a declaration is that of a variable that outlives the function."""
    kind = kinds()
    if declared.kind != kind.VAR_DECL:
        return False
    return bool(declared.semantic_parent.kind == kind.TRANSLATION_UNIT or declared.storage_class.name == "STATIC")


def functions(unit: Cursor) -> dict[str, Cursor]:
    """The functions that a translation unit defines, by name."""
    kind = kinds().FUNCTION_DECL
    return {one.spelling: one for one in children(unit) if one.kind == kind and one.is_definition()}


def structs(unit: Cursor, names: Sequence[str]) -> dict[str, CType]:
    """The defined structs of these names."""
    kind = kinds().STRUCT_DECL
    return {
        one.spelling: one.type
        for one in children(unit)
        if one.kind == kind and one.is_definition() and one.spelling in names
    }
