"""Plugin files for tests: a good one, and one broken in each way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

GOOD: Final = """
from foliolab.framework.api import Hooks, Policy, Stored

def new_anon(folio, page, nr, mm): pass
def add_ptes(folio, page, nr, mm): return 0
def dup_ptes(folio, page, nr, mm): pass
def remove_ptes(folio, page, nr, mm): return 0, False
def mapcount(folio): return 0
def maybe_mapped_shared(folio): return True

POLICY = Policy(
    name="NAME",
    summary="stores a word and knows nothing",
    references=(),
    fields=(Stored("_word", "u64", page=1, offset=40, init=0),),
    hooks=Hooks(
        new_anon=new_anon, add_ptes=add_ptes, dup_ptes=dup_ptes, remove_ptes=remove_ptes, mapcount=mapcount,
        maybe_mapped_shared=maybe_mapped_shared,
    ),
)
"""

HOOK: Final = """
from foliolab.framework.api import hookimpl
"""

BROKEN: Final[dict[str, tuple[str | bytes, str, str]]] = {
    # how: (text, phase, what the message must say; LINE stands for the file)
    "raises": ("x = 1\n\n1 / 0\n", "import", "FILE:3: ZeroDivisionError: division by zero"),
    "raises-deep": (
        "import json\n\njson.loads('no')\n", "import", "FILE:3: JSONDecodeError: Expecting value"),
    "exits": ("import sys\nsys.exit(0)\n", "import", "FILE:2: it exits when it is loaded"),
    "syntax": ("def f(:\n    pass\n", "import", "FILE:1: SyntaxError: invalid syntax"),
    "null-byte": (b"x = 1\0\n", "import", "source code string cannot contain null bytes"),
    "not-utf-8": (
        b"x = 'caf\xe9'\n", "import",
        "'utf-8' codec can't decode byte 0xe9" if sys.version_info < (3, 14) else "Non-UTF-8 code starting with"),
    "absent-module": ("import no_such_module_at_all\n", "import", "FILE:1: ModuleNotFoundError"),
    "empty": ("", "hook", "offers nothing"),
    "wrong-arguments": (
        HOOK + "@hookimpl\ndef foliolab_policies(order): return []\n", "register", "PluginValidationError"),
    "misspelt": (HOOK + "@hookimpl\ndef foliolab_polices(): return []\n", "register", "unknown hook"),
    "hook-raises": (
        HOOK + "@hookimpl\ndef foliolab_policies():\n    raise KeyError(7)\n", "hook", "FILE:5: KeyError: 7"),
    "generator-raises": (
        GOOD + HOOK + "@hookimpl\ndef foliolab_policies():\n    yield POLICY\n    raise OSError('late')\n",
        "hook", "OSError: late"),
    "hook-gives-none": (
        HOOK + "@hookimpl\ndef foliolab_policies(): pass\n", "hook",
        "FILE:3: foliolab_policies() gives a NoneType (None), not an iterable of Policy"),
    "hook-gives-text": (
        HOOK + "@hookimpl\ndef foliolab_workloads(): return ['munmap']\n", "hook",
        "FILE:3: foliolab_workloads() yields a str ('munmap'), not a Workload"),
    "not-a-policy": ("POLICY = 3\n", "hook", "FILE:1: POLICY yields a int (3), not a Policy"),
    "the-class": (
        "from foliolab.framework.api import Policy as POLICY\n", "hook", "the class Policy itself"),
    "newer": (
        GOOD.replace('summary=', 'api_version=99, summary='), "import",
        "made for version 99 of the policy contract"),
    "claims": (
        GOOD.replace('summary=', 'capabilities=frozenset({"magic"}), summary='), "import", "claims magic"),
    "bad-name": (GOOD.replace("NAME", "Big Name"), "check", "a name is lower-case letters"),
    "bad-fields": (
        GOOD.replace("fields=(", "fields=lambda values: (3, "), "check", "its fields are not a tuple"),
    "bad-type": (GOOD.replace('"u64"', '"u65"'), "check", "there is no type 'u65'"),
    "misaligned": (GOOD.replace("offset=40", "offset=41"), "check", "offset 41 is not a multiple of"),
    "overlap": (GOOD.replace("offset=40", "offset=48"), "check", "overlaps _mapcount_1"),
    "fields-raise": (
        GOOD.replace("fields=(Stored", "fields=lambda values: (1 / 0, Stored"), "check", "ZeroDivisionError"),
    "clash": (GOOD.replace("NAME", "mm-id"), "clash", "policy 'mm-id' of FILE (clash) is already given by"),
    "lazy-error": (
        "class X(Exception):\n    def __str__(self): raise X()\nraise X()\n", "import",
        "FILE:3: X: its text cannot be made"),
    "strange-text": (
        "class S(str):\n    def split(self): raise S()\nclass X(Exception):\n    def __str__(self): return S('odd')\n"
        "raise X()\n", "import", "FILE:5: X: odd"),
    "interrupts": ("raise KeyboardInterrupt\n", "import", "FILE:1: KeyboardInterrupt"),
    "leaves": ("import os\nos._exit(0)\n", "import", "FILE: its process ended with exit status 0"),
    "crashes": ("import ctypes\nctypes.string_at(0)\n", "import", "FILE: its process ended with signal SIGSEGV"),
    "closes": (
        "import os\nos.close(1)\nos.close(2)\n" + GOOD, "check",
        "FILE: it closes or replaces standard input or output"),
    "takes-signals": (
        "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\n" + GOOD, "check",
        "FILE: it changes how signals are handled"),
    "threads": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n" + GOOD, "check",
        "FILE: it starts threads"),
    "forks": ("import os\nos.fork()\n" + GOOD, "check", "FILE: it starts processes"),
    "closes-its-stream": ("import sys\nsys.stdout.close()\n" + GOOD, "check", "FILE: it closes or replaces standard"),
    "blocks-signals": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])\n" + GOOD, "check",
        "FILE: it changes how signals are handled"),
    "nameless-error": (
        "class M(type):\n    __name__ = property(lambda cls: 1 / 0)\nclass X(Exception, metaclass=M): pass\nraise X\n",
        "import", "FILE:4: "),
    "moves": ("import os\nos.chdir('/')\n" + GOOD, "check", "FILE: it changes the current folder"),
    "figures": (
        HOOK + "@hookimpl\ndef foliolab_published(): return ['/no/such.toml']\n", "check", "no such file"),
}  # fmt: skip


def write(folder: Path, how: str) -> Path:
    """The plugin file that is broken in a way."""
    text, _, _ = BROKEN[how]
    path = folder / f"{how}.py"
    path.write_bytes(text if isinstance(text, bytes) else text.replace("NAME", how).encode())
    return path


def write_good(folder: Path, name: str = "good") -> Path:
    """A plugin file that holds a policy."""
    path = folder / f"{name}.py"
    path.write_text(GOOD.replace("NAME", name), "utf-8")
    return path


NEVER = '''"""mm-id whose readers see exclusive folios only."""

from dataclasses import replace

from foliolab.policies import mm_id


def never(folio):
    return False


POLICY = replace(
    mm_id.POLICY, name="never", hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=never), models=None, mutants=None
)
'''
"""A policy with a mistake that a fork and a question show."""


def write_never(folder: Path) -> Path:
    """Write the policy `never` as a plugin file."""
    path = folder / "never.py"
    path.write_text(NEVER)
    return path
