"""How numba compiles for FolioLab: its own code generator, beside the one that the rest of the process uses.

numba's optimization level and LLVM's unrolling are process-wide settings, which belong to the program that imports
FolioLab. While FolioLab compiles or loads native code, `own_code_generator` makes numba use FolioLab's code generator;
no other thread can compile meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import llvmlite.binding as llvm
import numba
from numba import types

from foliolab.framework.machine.numba_parts import (
    JITCodeLibrary,
    JITCPUCodegen,
    LoweringPass,
    PassManager,
    compiler,
    cpu_target,
    global_compiler_lock,
    register_pass,
    typed_passes,
    untyped_passes,
)

OPTIMIZATION: Final = 1
"""Above 1, LLVM peels loops that mostly run a few times, which gcc's -O2 does not do and which costs."""
SHARED: Final[dict[str, Any]] = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", "_nrt": False}
CALLEE: Final[dict[str, Any]] = {**SHARED, "no_cpython_wrapper": True, "forceinline": True}


class _Code(JITCodeLibrary):
    """Machine code of an entry point. What its callees call is linked into it, too."""

    def add_linking_library(self, library: Any) -> None:
        super().add_linking_library(library)
        if isinstance(library, _LinkedOnly):
            known = set(self._linking_libraries)
            self._linking_libraries += [one for one in library._linking_libraries if one not in known]


class _LinkedOnly(_Code):
    """The code of a function that is only ever linked into others: optimised and emitted there, not here."""

    def finalize(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing: the variable exists only in what this is linked into (see `Library._build`)."""


class _CodeGenerator(JITCPUCodegen):
    """numba's code generator with FolioLab's settings."""

    _library_class = _Code

    def _customize_tm_options(self, options: dict[str, Any]) -> None:
        super()._customize_tm_options(options)
        options["opt"] = OPTIMIZATION

    def _pass_builder(self, **kwargs: Any) -> Any:
        tuning = llvm.create_pipeline_tuning_options()
        tuning.speed_level = kwargs.get("opt", OPTIMIZATION)
        tuning.loop_vectorization = kwargs.get("loop_vectorize", True)
        tuning.slp_vectorization = kwargs.get("slp_vectorize", False)
        # Unrolled, a walk over struct pages has eight loads with a stride of eight lines each, which the hardware
        # prefetches badly: twice the time on memory that is not cached.
        tuning.loop_unrolling = False
        return llvm.create_pass_builder(self._tm, tuning)


@cache
def _code_generator() -> _CodeGenerator:
    return _CodeGenerator("foliolab.exec")


@contextmanager
def own_code_generator() -> Iterator[_CodeGenerator]:
    """Make numba compile and load with FolioLab's settings; nothing else can compile until the block ends."""
    context = cpu_target.target_context
    with global_compiler_lock:
        before = context._internal_codegen
        context._internal_codegen = _code_generator()
        try:
            yield context._internal_codegen
        finally:
            context._internal_codegen = before


@register_pass(mutates_CFG=False, analysis_only=True)
class _LinkOnly(LoweringPass):
    """Gives a callee its library before the lowering would make an ordinary one."""

    _name = "foliolab_link_only"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _LinkedOnly(state.targetctx.codegen(), state.func_id.func_qualname)
        return False


_NEEDED: Final = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    _LinkOnly,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)
"""The passes that functions of integers, references and calls need: numba's others find nothing there, but take half of
the time."""


def _needed() -> PassManager:
    made = PassManager("foliolab")
    for one in _NEEDED:
        made.add_pass(one)
    made.finalize()
    return made


def _all(state: Any) -> Any:
    """numba's own passes, for a function that the needed ones do not compile."""
    made = compiler.DefaultPassBuilder.define_nopython_pipeline(state)
    (before,) = (i for i, (one, _) in enumerate(made.passes) if one is typed_passes.NativeLowering)
    made.add_pass_after(_LinkOnly, made.passes[before - 1][0])
    made.finalize()
    return made


class _CalleeCompiler(compiler.CompilerBase):
    def define_pipelines(self) -> list[Any]:
        return [_needed(), _all(self.state)]


def callee(original: Any, function: Any) -> Any:
    """A function that other native code calls: always inlined, and typed once for all constants.

    numba's calling convention passes the result and errors through memory: a call left standing on the path of
    one page costs more than what most of them do.
    """
    made = numba.njit(**CALLEE, pipeline_class=_CalleeCompiler)(function)
    typed = made.get_call_template

    def typed_without_constants(args: Any, kws: Any) -> Any:
        # numba would compile a function anew for every literal it is called with
        return typed(tuple(map(types.unliteral, args)), {k: types.unliteral(v) for k, v in kws.items()})

    made.get_call_template = typed_without_constants
    return made
