"""The C text of a policy, compiled by the system's compiler and called by the engine's native table.

The object lies in the cache under the hash of all that it is made of. It is not checked when it runs: run it in a
process of its own, as `isolation.process.call_in_child` does.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache as remember
from hashlib import sha256
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.csource import ccompiler, translation
from foliolab.framework.csource.compilertext import ENTRY
from foliolab.framework.csource.textmodule import source_of, translated_module, translation_of
from foliolab.framework.csource.tree import Tree
from foliolab.framework.csource.wholefile import WholeFile, whole_file
from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import policy_library
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import CSourceError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.machine import cache

FLAGS: Final = (
    "-std=gnu11", "-O2", "-fgnu89-inline", "-fno-strict-aliasing", "-fwrapv", "-fno-delete-null-pointer-checks",
    "-fno-tree-vectorize", "-fno-builtin", "-fno-common", "-fno-stack-protector", "-ftls-model=initial-exec",
    "-fvisibility=hidden", "-fPIC", "-shared", "-nostdinc", "-nostdlib", "-Wl,-z,defs",
    "-Werror=implicit-function-declaration",
)  # fmt: skip
"""As the kernel is compiled; and nothing of the C library can be called."""
EXTRACTED: Final = "extracted functions"
INSTALL: Final = "install one (Debian and Ubuntu: apt install gcc)"


def missing() -> str:
    """Why no C text can be compiled here, and what that would add; empty where it can."""
    if ccompiler.compiler():
        return ""
    return (
        "there is no C compiler: with one, the C text itself runs as compiled, and is compared with its translation; "
        f"{INSTALL}"
    )


def compiled(scheme: Scheme, put: Callable[[str], str] = str, more: Sequence[str] = ()) -> bytes:
    """The shared object of a policy's C text, compiled now or before.

    Args:
        put: makes the text that is compiled of the usual one.
        more: options of the compiler.

    Raises:
        CSourceError: the text has changed since it was translated, has what is not compiled, or the compiler is missing
            or refuses it.
    """
    module = translated_module(scheme.policy)
    if module is None:
        raise CSourceError(f"the policy {scheme.name} was not written in C", "name a C file, or a kernel tree")
    text, now = translation.compiler_text(source_of(module))
    if now != translation_of(module):
        raise CSourceError(f"the C text of {scheme.name} has changed since it was read", "start again")
    text = put(text)
    key = sha256("\0".join((*_toolchain(), *more, text)).encode(errors="surrogateescape")).hexdigest()
    made = cache.read(key)
    if made is None:
        made = ccompiler.built(
            (*FLAGS, *more, "-x", "c", "-"), text, f"the C text of {scheme.name}", CSourceError, INSTALL
        )
        cache.write(key, made)
    return made


def whole_of(scheme: Scheme, steps: str = "", more: Sequence[str] = ()) -> tuple[WholeFile | None, str]:
    """The whole mm/rmap.c of a configured kernel tree, and what is compiled of a policy, in words.

    Args:
        steps, more: as of `whole_file`.

    Raises:
        CSourceError: as `whole_file`, for a build that is named. What is wrong with a tree's own is said in the words.
    """
    module = translated_module(scheme.policy)
    tree = source_of(module) if module is not None else None
    if not isinstance(tree, Tree):
        return None, EXTRACTED
    try:
        found = whole_file(scheme, tree, steps, more)
    except CSourceError as fault:
        if tree.names_a_build:
            raise
        return None, f"{EXTRACTED} ({fault.what})"
    return found, str(found or EXTRACTED)


@remember
def _toolchain() -> tuple[str, ...]:
    return (ccompiler.compiler(), ccompiler.version(), platform.machine(), *FLAGS)


def loaded(scheme: Scheme, data: bytes) -> ctypes.CDLL:
    """A shared object in this process.

    Raises:
        CSourceError: it cannot be loaded.
    """
    with scratch() as folder:
        file = folder / "policy.so"
        file.write_bytes(data)
        try:
            return ctypes.CDLL(str(file))
        except OSError as fault:
            raise CSourceError(f"the compiled C text of {scheme.name} cannot be loaded: {fault}") from fault


class CompiledEntries:
    """The entries of a policy that are its compiled C text.

    Those of a kernel tree that is configured are the whole mm/rmap.c with the tree's headers; what neither has, such as
    static functions of mm/memory.c, is extracted.

    Args:
        scheme: was translated from C.
        whole: False: extracted functions also where the tree is configured.

    Attributes:
        addresses: by number of the entry in `calls.ENTRIES`.
        is_whole: whether the whole file was compiled.
        unit: what was compiled, in words.

    Raises:
        CSourceError: as `compiled`, and `whole_file` for a build that is named; or an object cannot be loaded.
    """

    def __init__(self, scheme: Scheme, whole: bool = True) -> None:
        self._libraries = [loaded(scheme, compiled(scheme))]
        self.addresses: Mapping[int, int] = self._addresses(self._libraries[0])
        file, self.unit = whole_of(scheme) if whole else (None, EXTRACTED)
        self.is_whole = file is not None
        if file is None:
            return
        self._libraries.append(loaded(scheme, file.data))
        found = self._addresses(self._libraries[1])
        rest = ", ".join(calls.ENTRIES[number].__name__ for number in sorted(self.addresses.keys() - found.keys()))
        self.unit += f"; extracted: {rest}" if rest else ""
        self.addresses = {**self.addresses, **found}

    @staticmethod
    def _addresses(library: ctypes.CDLL) -> dict[int, int]:
        found = {}
        for number, entry in enumerate(calls.ENTRIES):
            function = getattr(library, ENTRY + entry.__name__, None)
            if function is not None:
                found[number] = ctypes.cast(function, ctypes.c_void_p).value or 0
        return found

    def connect(self, machine: Machine) -> None:
        """Let a machine's native engine call these entries; others stay those of the translation."""
        table = policy_library(machine.scheme, machine.one_thread).table(calls.ENTRIES, calls.KINDS)
        machine.vm.set_entries([self.addresses.get(number, address) for number, address in enumerate(table)])
