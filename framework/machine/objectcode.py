"""Native code as bytes: what the cache keeps of numba's objects. Nothing of it is a pickle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from foliolab.framework.machine.numba_parts import Environment, _dynfunc, cpu_target, environment


class Stored(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A library of native code.

    Attributes:
        name: numba's, unique in the process that compiled it.
        code: the object file.
        linked: LLVM's bitcode of it, in which numba looks up symbols.
        wrapper: the symbol of the function that Python calls; empty if only native code calls into it.
        environments: the variables that must hold the address of an environment, the wrapper's own first.
    """

    name: str
    code: bytes
    linked: bytes
    wrapper: str = ""
    environments: list[str] = []


def of_library(library: Any, wrapper: str = "", environments: Sequence[str] = ()) -> Stored:
    """A finished library."""
    name, _, (code, linked) = library.serialize_using_object_code()
    return Stored(name, code, linked, wrapper, list(environments))


def encoded(stored: Stored) -> bytes:
    """A library as bytes."""
    return msgspec.msgpack.encode(stored)


def of_function(made: Any) -> bytes:
    """What numba compiled for a function that Python calls, as bytes; empty if it needs Python objects."""
    needed = [made.environment, *made._find_referenced_environments()]
    if made.reload_init or any(one.consts for one in needed):
        return b""
    names = dict.fromkeys(one.env_name for one in needed)
    return encoded(of_library(made.library, made.fndesc.llvm_cpython_wrapper_name, list(names)))


def library(data: bytes) -> Any:
    """The library that bytes stand for, loaded."""
    return _loaded(msgspec.msgpack.decode(data, type=Stored))


def function(data: bytes) -> Callable[..., Any]:
    """The function that bytes stand for, loaded."""
    stored = msgspec.msgpack.decode(data, type=Stored)
    held = _loaded(stored)
    found = [_environment(name) for name in stored.environments]
    address = held.get_pointer_to_function(stored.wrapper)
    made = _dynfunc.make_function(environment, stored.wrapper, "native code", address, found[0], (held, found))
    for one in found:
        held.codegen.set_env(one.env_name, one)
    return made  # type: ignore[no-any-return]


def _loaded(stored: Stored) -> Any:
    code_generator = cpu_target.target_context.codegen()
    return code_generator.unserialize_library((stored.name, "object", (stored.code, stored.linked)))


def _environment(name: str) -> Any:
    """numba's environment of a function, which it keeps by name; here it holds neither globals nor constants."""
    found = environment.lookup_environment(name)
    if found is None:
        found = Environment({})
        found.env_name = name
        Environment._memo[name] = found
    return found
