"""A choice: what to explore, and with which policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework import intake
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
"""Bytes of memory of one process."""
TRACES: Final = (".foliotrace", ".folio", ".trace")


def size_text(nbytes: int) -> str:
    """A size such as "64 KiB" or "1 GiB"."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if nbytes >= unit:
            return f"{nbytes // unit} {name}"
    return f"{nbytes // KIB} KiB"


@dataclass(frozen=True)
class Choice:
    """What to explore.

    Args:
        kind: pattern, scenario, trace or counterexample.
        what: name of the pattern or shipped scenario, or path of a file.
        policies: the policies, as on the command line.
        mms: for a pattern: processes that live at a time.
        size: for a pattern: bytes of a folio.
        span: for a pattern: bytes of memory of a process.
        example: the counterexample itself, if it does not come from a file.
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
        """log2 of the number of pages of a folio."""
        return (self.size // PAGE).bit_length() - 1

    @property
    def folios(self) -> int:
        """Number of folios of a process."""
        return max(self.span // self.size, 1)

    @property
    def description(self) -> str:
        """A few words for the undo menu."""
        what = self.what if self.kind in ("pattern", "scenario") else Path(self.what).name
        return f"{what} under {', '.join(self.policies)}"

    def options(self) -> list[str]:
        """The policies, and what a pattern needs, as options of a command."""
        policies = ["--policies", ",".join(self.policies)]
        if self.kind != "pattern":
            return policies
        from foliolab.framework.plugins import selection

        size = selection.size_text(self.size)
        return ["--mms", str(self.mms), "--size", size, "--folios", str(self.folios), *policies]

    def counterexample(self) -> Counterexample:
        """The counterexample of such a choice.

        Raises:
            FolioLabError: its file cannot be read.
        """
        from foliolab.framework.verify.counterexample import Counterexample

        return self.example if self.example is not None else Counterexample.load(self.what)

    def command(self) -> list[str]:
        """The words of the command line that runs the same steps with the same policies."""
        verb = {"pattern": "precision", "scenario": "run", "trace": "replay"}.get(self.kind)
        if verb:
            return ["foliolab", verb, self.what, *self.options()]
        return ["foliolab", "step", self.what] if self.what else []


def kind_of(path: Path) -> str:
    """The kind of source that a file is, by its name; a trace may have any name. Empty for other files.

    Verify opens files of counterexamples.
    """
    if path.suffix == ".scenario":
        return "scenario"
    from foliolab.framework.trace.file import is_trace  # slow for a window's start

    return "trace" if path.suffix in TRACES or is_trace(intake.head(path, 8)) else ""


@dataclass(frozen=True)
class Maker:
    """Makes the session of a choice. The maker is picklable, so that it can be called in the session's process.

    Args:
        choice: what to explore.
        files: policy files, besides the installed plugins.
    """

    choice: Choice
    files: tuple[str, ...] = ()

    def __call__(self) -> Session:
        """Make the session, which may take seconds.

        Raises:
            FolioLabError: there is no such source or policy.
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
    """The maker of a choice's session.

    Raises:
        UsageError: there is no such pattern or policy, no policy is chosen, or too many are.
    """
    if not choice.policies:
        raise UsageError("no policy is chosen", "tick two to four policies")
    if len(choice.policies) > MOST_POLICIES:
        raise UsageError(f"{len(choice.policies)} policies are too many", f"tick at most {MOST_POLICIES}")
    for text in choice.policies:
        library.scheme(text)
    if choice.kind == "pattern":
        library.registry.pattern(choice.what)
    return Maker(choice, tuple(library.sound))


def spread(library: Library) -> list[str]:
    """Up to three policies with different capabilities, for an example."""
    found: dict[frozenset[str], str] = {}
    for policy in library.policies:
        try:
            claims = policy.with_parameters().capabilities & {"exact", "safe", "page-mapcount"}
        except FolioLabError:
            continue
        found.setdefault(claims, policy.name)
    return list(found.values())[:3]


def pattern_choice(what: Mapping[str, Any], policies: tuple[str, ...]) -> Choice:
    """The choice of a pattern that another workspace or a tour asks for.

    Args:
        what: has `pattern`, and may have `mms`, `order` (log2 of a folio's pages) and `span` (bytes).
        policies: the policies.
    """
    size, span = PAGE << what.get("order", 4), what.get("span", 1 << 20)
    return Choice(
        "pattern", what["pattern"], policies, what.get("mms", 4), min(SIZES, key=lambda one: abs(one - size)),
        min(SPANS, key=lambda one: abs(one - span)),
    )  # fmt: skip
