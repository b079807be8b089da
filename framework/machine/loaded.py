"""Native code of FolioLab's own compiler, loaded by LLVM alone.

It is an object file that needs nothing of numba: it calls the C library, and counts in a variable of this module.
"""

from __future__ import annotations

import ctypes
from functools import cache
from threading import Lock
from typing import Any, Final

import llvmlite.binding as llvm

spin_yields: Final = ctypes.c_int64(0)
"""How often native code gave up spinning and yielded its time slice, in this process."""
llvm.add_symbol("foliolab_spin_yields", ctypes.addressof(spin_yields))
HEAD: Final = b"object file\n"
"""What an entry of the cache begins with; LLVM ends the process if what follows is something else."""
_loading: Final = Lock()


class Loaded:
    """An object file in memory.

    Args:
        entry: of the cache, as `kept` makes it. Names of functions are unique in the process.

    Raises:
        ValueError: it is something else.
    """

    def __init__(self, entry: bytes) -> None:
        if not entry.startswith(HEAD):
            raise ValueError("the entry is no object file")
        file = llvm.ObjectFileRef.from_data(entry[len(HEAD) :])
        with _loading:
            _engine().add_object_file(file)
            _engine().finalize_object()

    def get_pointer_to_function(self, name: str) -> int:
        """The address of a function."""
        return int(_engine().get_function_address(name))


def kept(code: bytes) -> bytes:
    """An object file as the cache keeps it."""
    return HEAD + code


@cache
def _engine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
