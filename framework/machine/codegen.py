"""How numba compiles for FolioLab: its own code generator, beside the one that the rest of the process uses.

numba's optimization level and LLVM's unrolling are process-wide settings, which belong to the program that imports
FolioLab. While FolioLab compiles or loads native code, `own_code_generator` makes numba use FolioLab's code generator;
no other thread can compile meanwhile. Code is for any number of threads, whose atomics are locked instructions, or for
one thread alone, which needs no locks and is faster without them.
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
    compiler,
    cpu_target,
    global_compiler_lock,
    register_pass,
    typed_passes,
)

OPTIMIZATION: Final = 1
"""Above 1, LLVM peels loops that mostly run a few times, which gcc's -O2 does not do and which costs."""
SHARED: Final[dict[str, Any]] = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", "_nrt": False}
CALLEE: Final[dict[str, Any]] = {**SHARED, "no_cpython_wrapper": True, "forceinline": True}


class _CodeGenerator(JITCPUCodegen):
    """numba's code generator with FolioLab's settings."""

    vectorizes = True

    def _customize_tm_options(self, options: dict[str, Any]) -> None:
        super()._customize_tm_options(options)
        options["opt"] = OPTIMIZATION

    def _pass_builder(self, **kwargs: Any) -> Any:
        tuning = llvm.create_pipeline_tuning_options()
        tuning.speed_level = kwargs.get("opt", OPTIMIZATION)
        tuning.loop_vectorization = self.vectorizes and kwargs.get("loop_vectorize", True)
        tuning.slp_vectorization = kwargs.get("slp_vectorize", False)
        # Unrolled, a walk over struct pages has eight loads with a stride of eight lines each, which the hardware
        # prefetches badly: twice the time on memory that is not cached.
        tuning.loop_unrolling = False
        return llvm.create_pass_builder(self._tm, tuning)


class _ForOneThread(_CodeGenerator):
    """The same for code of one thread, whose loops are over a few pages each.

    Without atomics LLVM could vectorize them: that would be more code, spilled registers, and no time saved.
    """

    vectorizes = False


@cache
def _code_generator(one_thread: bool) -> _CodeGenerator:
    return _ForOneThread("foliolab.exec1") if one_thread else _CodeGenerator("foliolab.exec")


_for_one_thread: list[bool] = []
"""Of the blocks of `own_code_generator` that are open, the innermost last."""


@contextmanager
def own_code_generator(one_thread: bool = False) -> Iterator[_CodeGenerator]:
    """Make numba compile and load with FolioLab's settings; nothing else can compile until the block ends.

    Args:
        one_thread: whether only one thread will run the code on a memory at a time.
    """
    context = cpu_target.target_context
    with global_compiler_lock:
        before = context._internal_codegen
        context._internal_codegen = _code_generator(one_thread)
        _for_one_thread.append(one_thread)
        try:
            yield context._internal_codegen
        finally:
            _for_one_thread.pop()
            context._internal_codegen = before


def for_one_thread() -> bool:
    """Whether the code that is being made is for one thread alone: atomics are plain instructions in it."""
    return bool(_for_one_thread) and _for_one_thread[-1]


class _LinkedOnly(JITCodeLibrary):
    """The code of a function that is only ever linked into others: optimised and emitted there, not here."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing: the variable exists only in what this is linked into (see `Library._build`)."""


@register_pass(mutates_CFG=False, analysis_only=True)
class _LinkOnly(LoweringPass):
    """Gives a callee its library before the lowering would make an ordinary one."""

    _name = "foliolab_link_only"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _LinkedOnly(state.targetctx.codegen(), state.func_id.func_qualname)
        return False


class _CalleeCompiler(compiler.CompilerBase):
    def define_pipelines(self) -> list[Any]:
        passes = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        (before,) = (i for i, (made, _) in enumerate(passes.passes) if made is typed_passes.NativeLowering)
        passes.add_pass_after(_LinkOnly, passes.passes[before - 1][0])
        passes.finalize()
        return [passes]


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
