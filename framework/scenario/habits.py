"""What kernels do in different ways where no policy decides: each kernel is asked, and the engine does the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Habits:
    """The habits of a kernel.

    Attributes:
        swap_bypass: the last swap entry of a page is read past the swap cache (see `swap.Swap`).
        requeues: a large folio that was moved is in the deferred split queue, marked as partially mapped, although all
            of it is mapped (see `migration.Migration`).
    """

    swap_bypass: bool = True
    requeues: bool = True


USUAL: Final = Habits()
"""Those that are modelled where no kernel is asked."""
