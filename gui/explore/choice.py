"""What is explored: a source, and the policies that are shown it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.errors import FolioLabError, UsageError

if TYPE_CHECKING:
    from foliolab.framework.explore.session import Session
    from foliolab.framework.explore.source import Source
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.gui.window.library import Library

KIB: Final = 1 << 10
PAGE: Final = 4 * KIB
MOST_POLICIES: Final = 4
MEMORY: Final = 2 << 30
SIZES: Final = tuple(PAGE << order for order in range(2, 10))
SPANS: Final = (256 * KIB, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30)
"""Memory of one process."""
TRACES: Final = (".foliotrace", ".folio", ".trace")


def size_text(nbytes: int) -> str:
    """64 KiB, 2 MiB."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if nbytes >= unit:
            return f"{nbytes // unit} {name}"
    return f"{nbytes // KIB} KiB"


@dataclass(frozen=True)
class Choice:
    """A choice.

    Args:
        kind: pattern, scenario, trace or counterexample.
        what: the pattern's or the shipped scenario's name, or a file's path.
        policies: as a user would write them.
        mms: processes that live at a time (patterns).
        size: bytes of a folio (patterns).
        span: bytes of memory of a process (patterns).
        example: the counterexample itself, where it came from no file.
    """

    kind: str
    what: str
    policies: tuple[str, ...]
    mms: int = 4
    size: int = 64 * KIB
    span: int = 4 << 20
    example: Counterexample | None = None

    @property
    def order(self) -> int:
        """log2 of the pages of a folio."""
        return (self.size // PAGE).bit_length() - 1

    @property
    def folios(self) -> int:
        """Folios of a process."""
        return max(self.span // self.size, 1)

    @property
    def description(self) -> str:
        """A few words, for undo and for errors."""
        what = self.what if self.kind in ("pattern", "scenario") else Path(self.what).name
        return f"{what} under {', '.join(self.policies)}"

    def command(self) -> list[str]:
        """The words of the command that plays the same to the same policies."""
        policies = ["--policies", ",".join(self.policies)]
        if self.kind == "pattern":
            size = size_text(self.size).replace(" ", "").removesuffix("iB")
            return ["foliolab", "precision", self.what, "--mms", str(self.mms), "--size", size,
                    "--folios", str(self.folios), *policies]  # fmt: skip
        if self.kind == "scenario":
            return ["foliolab", "run", self.what, *policies]
        if self.kind == "trace":
            return ["foliolab", "replay", self.what, *policies]
        return ["foliolab", "step", self.what] if self.what else []


def kind_of(path: Path) -> str:
    """What a file is, by its name; empty for what cannot be explored.

    A counterexample is a JSON file that names a law.
    """
    if path.suffix == ".scenario":
        return "scenario"
    if path.suffix in TRACES:
        return "trace"
    return ""


@dataclass(frozen=True)
class Maker:
    """Makes the session of a choice, in whatever process; it may take seconds.

    Args:
        choice: what.
        files: policy files besides the installed plugins.
    """

    choice: Choice
    files: tuple[str, ...] = ()

    def __call__(self) -> Session:
        """Make it.

        Raises:
            FolioLabError: there is no such source, or no such policy.
        """
        from foliolab.framework.explore.session import Session
        from foliolab.framework.plugins import registry as room

        registry = room.load(self.files)
        schemes = [registry.policy(text) for text in self.choice.policies]
        return Session(self._source(registry), schemes, MEMORY)

    def _source(self, registry: Registry) -> Source:
        from foliolab.framework.explore import source

        choice = self.choice
        if choice.kind == "pattern":
            return source.pattern_source(registry.pattern(choice.what), choice.mms, choice.folios, choice.order)
        if choice.kind == "scenario":
            return source.scenario_source(registry.scenarios.get(choice.what, Path(choice.what)))
        if choice.kind == "trace":
            return source.trace_source(choice.what)
        return source.counterexample_source(choice.example if choice.example is not None else choice.what)


def maker(choice: Choice, library: Library) -> Maker:
    """What makes the session of a choice.

    Raises:
        UsageError: the choice is none: no such pattern or policy, or too many policies.
    """
    if not choice.policies:
        raise UsageError("no policy is chosen", "tick two to four policies")
    if len(choice.policies) > MOST_POLICIES:
        raise UsageError(
            f"{len(choice.policies)} policies are too many to watch", f"tick {MOST_POLICIES} of them at most"
        )
    for text in choice.policies:
        library.scheme(text)
    if choice.kind == "pattern":
        library.registry.pattern(choice.what)
    return Maker(choice, tuple(library.files))


def spread(library: Library) -> list[str]:
    """Up to three policies of which each claims something else."""
    found: dict[frozenset[str], str] = {}
    for policy in library.policies:
        try:
            claims = policy.with_parameters().capabilities & {"exact", "safe", "page-mapcount"}
        except FolioLabError:
            continue
        found.setdefault(claims, policy.name)
    return list(found.values())[:3]


def pattern_choice(what: Mapping[str, Any], policies: tuple[str, ...]) -> Choice:
    """A pattern as another workspace or a tour names it, with what it says of mms, order and span."""
    size, span = PAGE << what.get("order", 4), what.get("span", 1 << 20)
    return Choice(
        "pattern", what["pattern"], policies, what.get("mms", 4), min(SIZES, key=lambda one: abs(one - size)),
        min(SPANS, key=lambda one: abs(one - span)),
    )  # fmt: skip
