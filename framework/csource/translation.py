"""Translations in the cache: C text is translated once for each version of the text and of the translator."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache as remember
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Final

from foliolab.framework.csource import libclang, onefile
from foliolab.framework.csource.textmodule import module_of
from foliolab.framework.csource.tree import Tree
from foliolab.framework.errors import CSourceError
from foliolab.framework.machine import cache


def text_of_file(path: Path) -> str:
    """The text of the policy that a C file is, translated now or before.

    Raises:
        CSourceError: the file has no translation, or libclang is missing.
    """
    return _kept(f"{path}\n{onefile.read(path)}", lambda: onefile.translated(path))


def text_of_tree(tree: Tree) -> str:
    """The text of the policy that a kernel tree has, translated now or before. Raises as `Tree.translated`."""
    return _kept(stamp_of_tree(tree), tree.translated)


def compiler_text(source: Path | Tree) -> tuple[str, str]:
    """A C text as the system's compiler gets it, and its translation; both made now or before.

    Raises as `text_of_file`, or `text_of_tree`; also where the text has what is not compiled.
    """
    if isinstance(source, Tree):
        return _kept(f"for the compiler\n{stamp_of_tree(source)}", source.compiler_text), text_of_tree(source)
    stamp = f"for the compiler\n{source}\n{onefile.read(source)}"
    return _kept(stamp, lambda: onefile.compiler_text(source)), text_of_file(source)


def whole_entries(tree: Tree) -> str:
    """The engine's entries for the whole mm/rmap.c of a tree, made now or before. Raises as `Tree.whole_entries`."""
    return _kept(f"for the whole file\n{stamp_of_tree(tree)}", tree.whole_entries)


def stamp_of_tree(tree: Tree) -> str:
    """A text that changes with the files of a tree that are read."""
    files = tree.files()
    return f"{tree}\n{tree.configuration(files)}\n" + "".join(f"{name}\n{text}" for name, text in files.items())


SECONDS: Final = 60.0
"""Seconds that a translation may take; that of a kernel tree takes about one."""
MEMORY: Final = 512 << 20
"""Bytes that a translation may take, as the readers of files may; that of a kernel tree takes about a fifth of it."""
_texts: Final[dict[str, str]] = {}
"""The translations that this process has seen; a process that it forks has them, too."""


def _kept(what: str, translate: Callable[[], str]) -> str:
    whole = sha256(_translator())
    whole.update(what.encode(errors="surrogateescape"))  # the path may have bytes that are no text
    key = whole.hexdigest()
    if key not in _texts:
        kept = cache.read(key)
        _texts[key] = kept.decode() if kept is not None else _apart(translate)
        if kept is None:
            cache.write(key, _texts[key].encode())
    return _texts[key]


def _apart(translate: Callable[[], str]) -> str:
    """Translate in a process of its own: clang crashes on some texts that are nested deep, and others hang it.

    Raises:
        CSourceError: the text has no translation.
        PluginError: clang crashed, or did not end in time.
    """
    from foliolab.framework.isolation.process import call_in_child  # as slow as reading a translation

    def question() -> str:
        # A thread has a stack of its own: how deep a text may nest does not depend on who asks, and what clang's
        # callback leaves counted where it met the limit is not counted against the frames that report it.
        try:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(translate).result()
        except RecursionError as fault:
            raise CSourceError("the C text is nested too deep", "divide its expressions and functions") from fault

    libclang.bindings()  # loaded once, for all children
    what, divide = "the translation of C text", "divide what is nested deep"
    return call_in_child(question, SECONDS, what, divide, "shorten it", MEMORY)


def module_of_file(name: str, path: Path) -> ModuleType:
    """The module of a C file's policy, under a name in `sys.modules`. Raises as `text_of_file`."""
    return module_of(name, text_of_file(path), str(path), path)


def module_of_tree(name: str, tree: Tree) -> ModuleType:
    """The module of a tree's policy, under a name in `sys.modules`. Raises as `text_of_tree`."""
    return module_of(name, text_of_tree(tree), str(Path(tree.path) / "mm" / "rmap.c"), tree)


@remember
def _translator() -> bytes:
    """What a translation depends on besides the C text: this folder."""
    whole = sha256(b"foliolab C policy")
    for file in sorted(Path(__file__).parent.rglob("*.[hp]*")):
        if file.suffix in (".py", ".h"):
            whole.update(file.read_bytes())
    return whole.digest()
