"""The disk cache of native code: never stale, rebuilt when damaged, indifferent to where it lies."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from foliolab.framework.machine import cache
from foliolab.framework.machine.buildlock import building
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.layout import Field, Layouts, Struct
from foliolab.framework.machine.memory import Memory, allocate
from foliolab.framework.machine.primitives import PRIMITIVES

native = pytest.importorskip("foliolab.framework.machine.native", reason="numba is missing")

WORD = Field("pte", "u64", 0)
LAYOUTS = Layouts((Struct("page", 64, ()), Struct("folio", 64, ()), Struct("pte", 8, (WORD,))))

CALLEE = '''
"""The policy's second file."""
STEP = 7

def grow(value):
    return value + STEP
'''
CALLER = '''
"""The policy's first file."""
from author_callee import grow
from foliolab.framework.machine.primitives import load, pte_at

def uses(vm, n):
    return grow(load(pte_at(vm, 0).pte)) * n

def lonely(vm, n):
    return load(pte_at(vm, 0).pte) - n
'''


class Author:
    """Two files of a plugin, imported afresh after every edit."""

    def __init__(self) -> None:
        self.texts = {"author_callee": CALLEE, "author_caller": CALLER}
        self.builds: list[str] = []

    def edit(self, name: str, old: str, new: str) -> None:
        assert old in self.texts[name]
        self.texts[name] = self.texts[name].replace(old, new)

    def function(self, name: str) -> Any:
        for module, text in self.texts.items():
            sys.modules[module] = ModuleType(module)
            exec(compile(text, f"{module}.py", "exec"), vars(sys.modules[module]))
        return getattr(sys.modules["author_caller"], name)

    def run(self, name: str, value: int, n: int, layouts: Layouts = LAYOUTS) -> int:
        """What a new process would do: the function's native form, from the cache or built."""
        function = self.function(name)
        library = native.Library(CallTree([function], PRIMITIVES, {}, {}), layouts)
        build = library._build

        def counted(*arguments: Any) -> Any:
            self.builds.append(name)
            return build(*arguments)

        library._build = counted
        vm = Memory(allocate(4096), layouts)
        vm.at("pte", 0).pte.write("start", value)
        return int(library.get(function, "mi")(vm.addr, n))

    def built(self) -> list[str]:
        """What was compiled since the last question."""
        done, self.builds = self.builds, []
        return done


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "native"))
    return tmp_path / "native"


@pytest.fixture
def author(folder: Path) -> Iterator[Author]:
    yield Author()
    for module in ("author_callee", "author_caller"):
        sys.modules.pop(module, None)


def entries(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != cache.SECRET)


def test_second_build_hits(author: Author, folder: Path) -> None:
    assert author.run("uses", 5, 2) == 24
    assert author.built() == ["uses"]
    (entry,) = entries(folder)
    assert author.run("uses", 6, 3) == 39
    assert author.built() == []
    assert entries(folder) == [entry]


FORK: Any = multiprocessing.get_context("fork")
KEY = "ab" * 32


def test_of_two_processes_one_builds(author: Author, folder: Path) -> None:
    built, waiting = FORK.Queue(), FORK.Event()

    def run(first: bool) -> None:
        library = native.Library(CallTree([function], PRIMITIVES, {}, {}), LAYOUTS)
        build = library._build

        def slow(*arguments: Any) -> Any:
            built.put(first)
            waiting.wait(20)
            return build(*arguments)

        library._build = slow
        if not first:
            revive = native._revive
            native._revive = lambda *arguments: waiting.set() or revive(*arguments)
        vm = Memory(allocate(4096), LAYOUTS)
        built.put(int(library.get(function, "mi")(vm.addr, 4)))

    function = author.function("uses")
    children = [FORK.Process(target=run, args=(first,)) for first in (True, False)]
    children[0].start()
    assert built.get(timeout=20) is True
    children[1].start()
    assert [built.get(timeout=20), built.get(timeout=20)] == [28, 28], "the second loads what the first has built"
    for child in children:
        child.join(20)
    assert [path.suffix for path in entries(folder)] == [".native"]


def test_a_killed_builder_holds_nobody_up(folder: Path) -> None:
    holds = FORK.Event()

    def build() -> None:
        with building(KEY):
            holds.set()
            time.sleep(60)

    child = FORK.Process(target=build)
    child.start()
    assert holds.wait(20)
    assert entries(folder), "the lock is a file"
    child.kill()
    with building(KEY):
        child.join(20)
    assert not entries(folder)


def test_edit_of_a_callee_in_another_file_is_seen(author: Author) -> None:
    assert author.run("uses", 5, 2) == 24
    author.edit("author_callee", "value + STEP", "value - STEP")
    assert author.run("uses", 5, 2) == -4
    author.edit("author_callee", "STEP = 7", "STEP = 9")
    assert author.run("uses", 5, 2) == -8
    author.built()
    author.edit("author_callee", "STEP = 9", "STEP = 7")
    author.edit("author_callee", "value - STEP", "value + STEP")
    assert author.run("uses", 5, 2) == 24
    assert author.built() == [], "the first text's code is still there"


def test_edit_of_a_helper_rebuilds_only_what_depends_on_it(author: Author) -> None:
    author.run("uses", 5, 2)
    author.run("lonely", 5, 2)
    author.built()
    author.edit("author_callee", "STEP = 7", "STEP = 8")
    assert (author.run("uses", 5, 2), author.run("lonely", 5, 2)) == (26, 3)
    assert author.built() == ["uses"]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("author_callee", "    return value", "    # a remark\n    return value"),
        ("author_callee", "def grow", "\n\n\ndef grow"),
        ("author_caller", '"""The policy\'s first file."""', '"""Another docstring."""'),
        ("author_caller", "def lonely(vm, n):", "def lonely(vm, n):  # a neighbour"),
    ],
    ids=["comment", "blank-lines", "docstring", "neighbour"],
)
def test_edit_without_meaning_hits(author: Author, name: str, old: str, new: str) -> None:
    author.run("uses", 5, 2)
    author.built()
    author.edit(name, old, new)
    assert author.run("uses", 5, 2) == 24
    assert author.built() == []


def test_other_layout_is_another_entry(author: Author) -> None:
    moved = Layouts((Struct("page", 64, ()), Struct("folio", 64, ()), Struct("pte", 16, (Field("pte", "u64", 8),))))
    assert author.run("uses", 5, 2) == 24
    assert author.run("uses", 5, 2, moved) == 24
    assert author.built() == ["uses", "uses"]


# -- damage ------------------------------------------------------------------------------------------
DAMAGE = {
    "empty": lambda data: b"",
    "header only": lambda data: data[: len(cache.MAGIC)],
    "truncated": lambda data: data[: len(data) // 2],
    "last byte gone": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "bit flipped in the code": lambda data: data[:-100] + bytes([data[-100] ^ 4]) + data[-99:],
    "bit flipped in the signature": lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    "another version": lambda data: b"foliolab native 1\n" + data[len(cache.MAGIC) :],
    "something else": lambda data: b"\x7fELF" + bytes(5000),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entry_is_built_again(author: Author, folder: Path, damage: str) -> None:
    author.run("uses", 5, 2)
    (entry,) = entries(folder)
    good = entry.read_bytes()
    entry.write_bytes(DAMAGE[damage](good))
    author.built()
    assert author.run("uses", 5, 2) == 24
    assert author.built() == ["uses"]
    assert author.run("uses", 5, 2) == 24
    assert author.built() == [], "and the entry is whole again"


def test_sound_entry_that_is_no_native_code_is_built_again(author: Author, folder: Path) -> None:
    """The signature fits, but what it covers cannot be loaded."""
    author.run("uses", 5, 2)
    (entry,) = entries(folder)
    cache.write(entry.stem, b"not native code")
    author.built()
    assert author.run("uses", 5, 2) == 24
    assert author.built() == ["uses"]


# -- strangers -----------------------------------------------------------------------------------------
def test_an_entry_under_another_name_or_of_another_user_is_built_again(author: Author, folder: Path) -> None:
    author.run("uses", 5, 2)
    author.run("lonely", 5, 2)
    one, other = entries(folder)
    other.write_bytes(one.read_bytes())
    cache._opened.cache_clear()
    author.built()
    assert (author.run("uses", 5, 2), author.run("lonely", 5, 2)) == (24, 3)
    assert len(author.built()) == 1
    (folder / cache.SECRET).write_bytes(bytes(cache.SIZE))
    cache._opened.cache_clear()
    assert author.run("uses", 5, 2) == 24
    assert author.built() == ["uses"], "what the old secret signed counts no longer"


@pytest.mark.parametrize("spoil", ["mode", "size", "link"])
def test_a_secret_that_others_know_is_replaced(folder: Path, tmp_path: Path, spoil: str) -> None:
    cache.write("k" * 8, b"mine")
    secret = folder / cache.SECRET
    assert secret.stat().st_mode & 0o777 == 0o600
    before = secret.read_bytes()
    if spoil == "mode":
        secret.chmod(0o644)
    elif spoil == "size":
        secret.write_bytes(before[:-1])
    else:
        secret.rename(tmp_path / "elsewhere")
        secret.symlink_to(tmp_path / "elsewhere")
    cache._opened.cache_clear()
    if spoil == "link":
        assert "cannot be used" in cache.refusal()
        return
    assert cache.read("k" * 8) is None
    assert secret.stat().st_mode & 0o777 == 0o600 and secret.read_bytes() != before


def test_a_folder_that_others_can_write_is_not_used(author: Author, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    assert author.run("uses", 5, 2) == 24
    assert entries(folder) == [] and not (folder / cache.SECRET).exists()
    assert cache.refusal() == f"others can write to {folder}"


def test_nothing_is_made_in_a_folder_that_others_can_write(author: Author, folder: Path) -> None:
    folder.parent.chmod(0o777)
    assert author.run("uses", 5, 2) == 24
    assert not folder.exists()
    assert cache.refusal() == f"others can write to {folder.parent}"


def test_folders_are_the_users_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        cache.write("k" * 8, b"mine")
    finally:
        os.umask(before)
    assert {p.stat().st_mode & 0o777 for p in (folder, folder / "kk")} == {0o700}
    assert cache.read("k" * 8) == b"mine"


# -- folders -------------------------------------------------------------------------------------------
def test_folder_that_cannot_be_made(author: Author, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "file" / "native"))
    assert author.run("uses", 5, 2) == 24
    assert author.run("uses", 5, 2) == 24
    assert author.built() == ["uses", "uses"]
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_folder_without_permission(author: Author, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o500)
    try:
        assert author.run("uses", 5, 2) == 24
        assert entries(folder) == []
    finally:
        folder.chmod(0o700)


def test_disk_that_fails_while_writing_leaves_nothing(
    author: Author, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert author.run("uses", 5, 2) == 24
    assert entries(folder) == []


def test_folder_of_the_environment_and_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.delenv("FOLIOLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert cache.folder().name == "native"
    if sys.platform == "linux":
        assert cache.folder().is_relative_to(tmp_path / "home")


BUILDER = """
import sys
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.layout import Field, Layouts, Struct
from foliolab.framework.machine.memory import Memory, allocate
from foliolab.framework.machine.native import Library
from foliolab.framework.machine.primitives import PRIMITIVES, atomic_add_return, pte_at

def run(vm, n):
    total = 0
    for i in range(n):
        total += atomic_add_return(i, pte_at(vm, 0).pte)
    return total

layouts = Layouts((Struct("page", 64, ()), Struct("folio", 64, ()), Struct("pte", 8, (Field("pte", "u64", 0),))))
vm = Memory(allocate(4096), layouts)
library = Library(CallTree([run], PRIMITIVES, {}, {}), layouts)
sys.stdin.readline()
print(int(library.is_cached(run, "mi")), library.get(run, "mi")(vm.addr, 4))
"""


def test_two_processes_that_build_at_once_and_one_that_comes_later(folder: Path) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", BUILDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    builders = [start(), start()]
    for one in builders:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    answers = [one.communicate(timeout=120) for one in builders]
    assert [out.split()[1] for out, _ in answers] == ["10", "10"], answers
    (entry,) = entries(folder)
    late, errors = start().communicate("\n", timeout=120)
    assert late.split() == ["1", "10"], errors
    assert entries(folder) == [entry]
