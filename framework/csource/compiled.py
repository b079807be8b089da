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
from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import policy_library
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import CSourceError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.machine import cache

FLAGS: Final = (
    "-std=gnu11", "-O2", "-fgnu89-inline", "-fno-strict-aliasing", "-fwrapv", "-fno-delete-null-pointer-checks",
    "-fno-tree-vectorize", "-fno-common", "-fno-stack-protector", "-ftls-model=initial-exec", "-fvisibility=hidden",
    "-fPIC", "-shared", "-nostdinc", "-nostdlib", "-Wl,-z,defs", "-Werror=implicit-function-declaration",
)  # fmt: skip
"""As the kernel is compiled; and nothing of the C library can be called."""
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

    Args:
        scheme: was translated from C.

    Attributes:
        addresses: by number of the entry in `calls.ENTRIES`.

    Raises:
        CSourceError: as `compiled`, or the object cannot be loaded.
    """

    def __init__(self, scheme: Scheme) -> None:
        self._library = loaded(scheme, compiled(scheme))
        found = {number: self._address(entry.__name__) for number, entry in enumerate(calls.ENTRIES)}
        self.addresses: Mapping[int, int] = {number: address for number, address in found.items() if address}

    def _address(self, entry: str) -> int:
        function = getattr(self._library, ENTRY + entry, None)
        return ctypes.cast(function, ctypes.c_void_p).value or 0 if function is not None else 0

    def connect(self, machine: Machine) -> None:
        """Let a machine's native engine call these entries; others stay those of the translation."""
        table = policy_library(machine.scheme, machine.one_thread).table(calls.ENTRIES, calls.KINDS)
        machine.vm.set_entries([self.addresses.get(number, address) for number, address in enumerate(table)])
