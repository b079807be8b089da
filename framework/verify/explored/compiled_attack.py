"""The explored attack on a policy's compiled C text."""

from __future__ import annotations

from foliolab.framework.verify.explored.attack import Coverage, Explored, words
from foliolab.framework.verify.explored.exploration import Exploration


class CompiledExplored(Explored):
    """Explores the interleavings of the compiled code; see `compiled_text`.

    What it finds cannot be replayed by the interpreted engine, which runs the translation: it is told as it was found.

    Attributes:
        broken: each violation, with the operations of the threads.
    """

    compiled = True

    def __init__(self) -> None:
        super().__init__()
        self.broken: list[str] = []

    def _is_over(self, coverage: Coverage) -> bool:
        return bool(self.broken)

    def _refute(self, coverage: Coverage, found: Exploration) -> bool:
        self.broken += [f"{one.violation} (in an interleaving of: {words(found)})" for one in found.broken]
        return bool(found.broken)
