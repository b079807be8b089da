"""All that FolioLab uses of numba beyond its public interface, so that one place says what a release may break.

Public are `numba` itself, `numba.types` and `numba.extending`; what lies in `numba.core` and what begins with an
underscore may change with each release. The other modules of this folder import such names from here; `ATTRIBUTES` has
the private attributes of classes and objects. tests/machine/test_numba_parts.py holds both, `.ci/numba` tries releases.
"""

from __future__ import annotations

from typing import Final

from numba import _dynfunc  # type: ignore[attr-defined]  # an extension module without types
from numba.core import cgutils, compiler, environment, typed_passes
from numba.core.callconv import RETCODE_USEREXC
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.environment import Environment
from numba.core.errors import NumbaError, UnsupportedBytecodeError
from numba.core.registry import cpu_target
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global, signature

__all__ = [
    "ATTRIBUTES",
    "RETCODE_USEREXC",
    "AbstractTemplate",
    "AttributeTemplate",
    "Environment",
    "JITCPUCodegen",
    "JITCodeLibrary",
    "LoweringPass",
    "NumbaError",
    "UnsupportedBytecodeError",
    "_dynfunc",
    "cgutils",
    "compiler",
    "cpu_target",
    "environment",
    "global_compiler_lock",
    "infer_global",
    "register_pass",
    "signature",
    "typed_passes",
]

ATTRIBUTES: Final = {
    "_internal_codegen": "of the target's context: the code generator that all compiling goes through",
    "_get_excinfo_argument": "of the context's calling convention: where a function leaves its exception",
    "_return_errcode_raw": "of the calling convention: return with an exception",
    "_find_referenced_environments": "of a compiled function: the environments that its code refers to",
    "_finalized": "of a library: whether it is complete",
    "_ensure_finalized": "of a library: complete it",
    "_optimize_final_module": "of a library: optimise it",
    "_finalize_final_module": "of a library: emit its machine code",
    "_finalize_dynamic_globals": "of a library: define the globals that hold addresses",
    "_customize_tm_options": "of a code generator: options of LLVM's target machine",
    "_pass_builder": "of a code generator: LLVM's passes",
    "_tm": "of a code generator: LLVM's target machine",
    "_memo": "of the class of environments: all of them by name",
}
"""Private attributes that FolioLab reads, sets or overrides."""
