"""Find plugins, and load each so that a broken plugin stops nothing else.

A plugin is an entry point of an installed distribution in the group `foliolab`, a file in the user's plugin folder, or
a file named with `--plugin`. A plugin that raises, loops, exits or offers the wrong things becomes a `PluginFailure`,
which names the location in the plugin's own code.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from hashlib import sha256
from importlib import metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, Literal

from foliolab.framework.contract.hookspecs import GROUP
from foliolab.framework.csource.name import TREE
from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.blame import FRAMEWORK, PLUGIN_MODULE
from foliolab.framework.isolation.limits import TooSlow, limited
from foliolab.framework.ownership import distrust
from foliolab.framework.plugins.selection import nearest

SECONDS = 5.0
"""Seconds that loading one plugin may take."""
KEYWORD: Final = re.compile(r"(?P<kind>\w+)\.__init__\(\) got an unexpected keyword argument '(?P<name>\w+)'")
GONE: Final = {"module": "it is gone since version 2 of the policy contract: leave it out"}
"""Fields of declarations that earlier versions of the contract had, and what to do."""

C_SUFFIX = ".c"
"""The suffix of a plugin file in C: one policy (docs/c-policies.md)."""

SourceKind = Literal["entry", "file"]
Phase = Literal["find", "import", "register", "hook", "check", "clash"]


@dataclass(frozen=True)
class PluginFailure:
    """A plugin that could not be used.

    Args:
        source: its distribution or file.
        phase: what failed: to find the plugin, import it, register its hooks, call a hook, or check what it offers;
            or "clash": another plugin has taken the name of something that it offers.
        message: one line, with the location in the plugin's own code if there is one.
        traceback: the whole traceback; empty if nothing was raised.
        offers: names of what the plugin would have offered, as far as known.
    """

    name: str
    source: str
    phase: Phase
    message: str
    traceback: str = ""
    offers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Something that a plugin can be loaded from.

    Args:
        name: of the plugin: the entry point's, or the file's without its suffix.
        where: the distribution with its version, or the file.
        version: the distribution's; empty for files.
        load: () -> the plugin: a module, or the object that an entry point names.
        roots: the files and folders that hold the plugin's own code.
        built_in: whether it comes with FolioLab.
        prepare: what FolioLab itself does first, however long it takes: to translate C text.
    """

    kind: SourceKind
    name: str
    where: str
    version: str
    load: Callable[[], object]
    roots: tuple[str, ...]
    built_in: bool = False
    prepare: Callable[[], object] = lambda: None

    def stamp(self) -> str:
        """A text that changes with the plugin's code: a digest of a file. An installed package is imported once."""
        if self.kind == "entry":
            return f"{self.version} {self.roots}"
        if is_tree(self.where):
            return _stamp_of_tree(self.where)
        try:
            return sha256(Path(self.where).read_bytes()).hexdigest()
        except OSError:
            return ""

    def owns(self, file: str) -> bool:
        """Whether a source file belongs to the plugin."""
        if file.startswith(FRAMEWORK):
            return False
        return any(file == root or file.startswith(root + os.sep) for root in self.roots)


class Unusable(Exception):
    """A plugin does not exist, or offers something that cannot be used.

    Args:
        message: what is wrong.
        location: file and line; empty if not known.
        offers: the names of what cannot be used.
        phase: what failed; None for the phase that the loading is in.
    """

    def __init__(
        self, message: str, location: str = "", offers: Sequence[str] = (), phase: Phase | None = None
    ) -> None:
        super().__init__(message)
        self.location = location
        self.offers = tuple(offers)
        self.phase = phase


# -- where plugins come from ---------------------------------------------------------------------
def sources(files: Sequence[str | os.PathLike[str]] = ()) -> list[Source]:
    """All sources of plugins: FolioLab's own, installed plugins, the user's folder, then `files`.

    The environment variable FOLIOLAB_PLUGINS selects among installed plugins and those of the user's folder:
    `off` for none of them, or names separated by commas. FolioLab's own and `files` are always loaded.
    """
    entries = [_entry(point) for point in metadata.entry_points(group=GROUP)]
    own = [s for s in entries if s.built_in]
    others = [s for s in entries if not s.built_in]
    explicit = {_identity(file): source_of(file) for file in files}
    others += [source_of(path, found=True) for path in _users() if _identity(path) not in explicit]
    return [*own, *_selected(others), *explicit.values()]


def user_folder() -> Path:
    """The user's plugin folder: $FOLIOLAB_CONFIG/plugins, or in the user's configuration folder."""
    chosen = os.environ.get("FOLIOLAB_CONFIG")
    if chosen:
        return Path(chosen) / "plugins"
    import platformdirs

    return Path(platformdirs.user_config_dir("foliolab", appauthor=False)) / "plugins"


def _users() -> list[Path]:
    """The files of the user's plugin folder. A folder that cannot be read is listed itself, as a broken plugin."""
    folder = user_folder()
    try:
        return sorted(folder.glob("*.py")) if folder.is_dir() else []
    except OSError:
        return [folder]


def _identity(file: str | os.PathLike[str]) -> str:
    """What two names of the same plugin have in common."""
    return str(file) if is_tree(file) else os.path.realpath(Path(file).expanduser())


def _selected(found: list[Source]) -> list[Source]:
    wish = os.environ.get("FOLIOLAB_PLUGINS", "").strip()
    if not wish:
        return found
    names = set() if wish == "off" else {name.strip() for name in wish.split(",")} - {""}
    chosen = [s for s in found if s.name in names or s.where.partition(" ")[0] in names]
    known = {s.name for s in chosen} | {s.where.partition(" ")[0] for s in chosen}
    return chosen + [_absent(name) for name in sorted(names - known)]


def _absent(name: str) -> Source:
    def load() -> object:
        raise Unusable("no such plugin is installed, nor in the user's plugin folder", phase="find")

    return Source("entry", name, "FOLIOLAB_PLUGINS", "", load, ())


def _entry(point: metadata.EntryPoint) -> Source:
    top = point.module.partition(".")[0]
    dist = point.dist
    name, version = (dist.name, dist.version) if dist is not None else (top, "")
    roots: tuple[str, ...] = ()
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is not None:
        roots = tuple(spec.submodule_search_locations or ()) or ((spec.origin,) if spec.origin else ())
    return Source("entry", point.name, f"{name} {version}".strip(), version, point.load, roots, top == "foliolab")


def source_of(file: str | os.PathLike[str], found: bool = False) -> Source:
    """The source of a plugin file, or of a kernel tree that is written as `tree:PATH`.

    Args:
        found: in the user's plugin folder, where FolioLab loads what nobody has named.

    Raises:
        UsageError: there is no such tree.
    """
    if is_tree(file):
        return _tree(str(file))
    path = Path(file).expanduser()
    where = os.path.abspath(path)
    prepare = partial(_translate, where)
    return Source("file", path.stem, where, "", lambda: _load_file(where, found), (where,), prepare=prepare)


def _translate(where: str) -> None:
    if where.endswith(C_SUFFIX) and os.path.isfile(where):
        from foliolab.framework.csource import translation

        translation.text_of_file(Path(where))


def is_tree(file: str | os.PathLike[str]) -> bool:
    """Whether the name of a plugin is that of a kernel tree."""
    return str(file).startswith(TREE)


def _tree(text: str) -> Source:
    from foliolab.framework.csource.tree import Tree

    tree = Tree.parse(text)

    def load() -> object:
        from foliolab.framework.csource import translation

        return translation.module_of_tree(_module_name(tree.name, str(tree)), tree)

    def prepare() -> object:
        from foliolab.framework.csource import translation

        return translation.text_of_tree(tree)

    return Source("file", tree.name, str(tree), "", load, (tree.path,), prepare=prepare)


def _stamp_of_tree(text: str) -> str:
    from foliolab.framework.csource import translation
    from foliolab.framework.csource.tree import Tree

    try:
        return sha256(translation.stamp_of_tree(Tree.parse(text)).encode()).hexdigest()
    except FolioLabError:  # loading it says why
        return ""


def _module_name(stem: str, where: str) -> str:
    """The name of a plugin's module. Files of the same name in different folders are different modules."""
    return f"{PLUGIN_MODULE}{re.sub(r'[^0-9A-Za-z_]', '_', stem)}_{sha256(where.encode()).hexdigest()[:8]}"


class _FreshLoader(SourceFileLoader):
    """Compiles the present text of a file: it writes no __pycache__ beside a user's file, and reads no stale one."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _load_file(where: str, found: bool) -> ModuleType:
    path = Path(where)
    try:
        exists = path.exists()
    except OSError as fault:
        raise Unusable(f"the file cannot be read: {fault.strerror}", phase="find") from fault
    if path == user_folder():
        raise Unusable("the plugin folder cannot be read: change its permissions, or set FOLIOLAB_CONFIG", phase="find")
    if not exists:
        raise Unusable("there is no such file", phase="find")
    if not path.is_file() or path.suffix not in (".py", C_SUFFIX):
        raise Unusable("this is not a Python file (*.py) or a C file (*.c)", phase="find")
    if found and (why := distrust(path)):
        raise Unusable(f"it is not loaded: {why}; correct that, or name the file with --plugin", phase="find")
    name = _module_name(path.stem, where)
    if path.suffix == C_SUFFIX:
        from foliolab.framework.csource import translation

        return translation.module_of_file(name, path)
    spec = importlib.util.spec_from_file_location(name, where, loader=_FreshLoader(name, where))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


# -- loading one ---------------------------------------------------------------------------------
class Attempt:
    """The loading of one plugin; `phase` says how far it got."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.phase: Phase = "import"

    def prepare(self) -> PluginFailure | None:
        """Do what has to be done before the plugin is loaded; the failure, or None."""
        try:
            self.source.prepare()
        except FolioLabError as fault:
            return self._failure(fault)
        return None

    def run(self, read: Callable[[Attempt], None], dry: bool = False) -> PluginFailure | None:
        """Load the plugin with `read`; the failure, or None. What the plugin prints goes to stderr.

        Args:
            dry: whether no Ctrl-C of the user can arrive.
        """
        try:
            # FolioLab's own code ends, and may take longer on a slow or emulated processor
            with redirect_stdout(sys.stderr), nullcontext() if self.source.built_in else limited(SECONDS):
                read(self)
            return None
        except BaseException as fault:  # a script without a main guard raises SystemExit: that ends the plugin only
            if isinstance(fault, KeyboardInterrupt) and not dry:
                raise
            return self._failure(fault)

    def _failure(self, fault: BaseException) -> PluginFailure:
        location = location_of(fault, self.source)
        if isinstance(fault, Unusable):
            self.phase = fault.phase or self.phase
            cause = fault.__cause__
            if cause is not None:
                location = location_of(cause, self.source)
            text = _traceback(cause) if cause is not None else ""
            return self.failure(str(fault), fault.location or location, text, fault.offers)
        return self.failure(_explain(fault), location, _traceback(fault))

    def failure(self, message: str, location: str = "", text: str = "", offers: Sequence[str] = ()) -> PluginFailure:
        """The failure of this plugin in its present phase."""
        message = " ".join(text_of(message).split())
        if not location and self.source.kind == "file" and self.phase != "find":
            location = self.source.where
        # an error of C text names its file and line itself
        named = message.startswith((self.source.where, *self.source.roots))
        line = f"{location}: {message}" if location and not named else message
        return PluginFailure(self.source.name, self.source.where, self.phase, line, text, tuple(map(text_of, offers)))


def _explain(fault: BaseException) -> str:
    """One line about what a plugin raised."""
    if isinstance(fault, TooSlow):
        return f"did not end within {SECONDS:g} s; this line was running"
    if isinstance(fault, SystemExit):
        return "it exits when it is loaded"
    if isinstance(fault, FolioLabError):
        what, hint = text_of(fault.what), text_of(fault.hint)
        return f"{what} ({hint})" if hint else what
    what = text_of(fault.msg if isinstance(fault, SyntaxError) else fault)
    if isinstance(fault, TypeError):
        what += _about_keyword(what)
    kind = type.__dict__["__name__"].__get__(type(fault))  # a metaclass may have a `__name__` of its own
    return f"{kind}: {what}" if what else str(kind)


def _about_keyword(what: str) -> str:
    """What to write instead of a keyword that a declaration does not take; empty for other messages."""
    found = KEYWORD.match(what)
    if found is None:
        return ""
    from foliolab.framework import api

    declared = getattr(api, found["kind"], None)
    if not isinstance(declared, type) or not is_dataclass(declared):
        return ""
    name = found["name"]
    return f"; {GONE[name] if name in GONE else nearest(name, [one.name for one in fields(declared)], 'it takes')}"


def text_of(value: object) -> str:
    """The text of something of the plugin's: its own methods may raise, or return a string with methods of its own."""
    try:
        return str.__str__(str(value))
    except BaseException:
        return "its text cannot be made"


def _traceback(fault: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(fault))
    except BaseException as other:  # it shows the exception, whose own methods may raise
        return f"its traceback cannot be made: {type(other).__name__}\n"


def location_of(fault: BaseException, source: Source) -> str:
    """File and line of the plugin's own code that raised; empty if only other code did."""
    if isinstance(fault, SyntaxError) and fault.filename and source.owns(fault.filename):
        return f"{fault.filename}:{fault.lineno or 1}"
    for frame in reversed(traceback.extract_tb(fault.__traceback__)):
        if source.owns(frame.filename):
            return f"{frame.filename}:{frame.lineno}"
    return ""
