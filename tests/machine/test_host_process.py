"""What FolioLab does to numba and LLVM stays in FolioLab: the program around it compiles as before."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import re
import numba
from numba.core import config
from numba.core.registry import cpu_target


def total(numbers, offset):
    found = 0
    for i in range(len(numbers)):
        found += numbers[i * 8 + offset] ^ found
    return found


def assembly():
    compiled = numba.njit(total)
    compiled.compile((numba.int64[::1], numba.int64))
    (text,) = compiled.inspect_asm().values()
    return re.findall(r"^\\t[a-z]\\w+", text, re.MULTILINE)  # instructions; names of symbols differ


def settings():
    return {name: str(value) for name, value in vars(config).items() if name.isupper()}


before, first = settings(), assembly()
generator = cpu_target.target_context.codegen()
from foliolab.framework.machine import native, selftest

assert settings() == before, "changed by the import"
assert assembly() == first, "compiled otherwise after the import"
assert selftest.run() == selftest.ANSWER
assert settings() == before, "changed by a build"
assert assembly() == first, "compiled otherwise after a build"
assert cpu_target.target_context.codegen() is generator
"""
TWO_THREADS = """
import threading
import numba
from foliolab.framework.machine import codegen, selftest

seen = []


def compile_one():
    made = numba.njit(lambda a: a + 1)
    made.compile((numba.int64,))
    (result,) = made.overloads.values()
    seen.append(result.library.codegen)


with codegen.own_code_generator() as own:
    other = threading.Thread(target=compile_one)
    other.start()
    other.join(0.2)
    assert other.is_alive(), "the other thread waits"
other.join()
assert seen[0] is not own
assert selftest.run() == selftest.ANSWER
"""


def run(script: str) -> None:
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_the_host_process_keeps_its_settings() -> None:
    run(SCRIPT)


def test_another_thread_compiles_with_its_own_settings() -> None:
    run(TWO_THREADS)
