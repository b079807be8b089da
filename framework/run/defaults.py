"""What a comparison measures if the user does not choose; without imports, because the help texts name these."""

from typing import Final

BASELINE: Final = "page-mapcount"
POLICIES: Final = f"{BASELINE},mm-id,no-page-mapcount"
SIZES: Final = "all"
QUICK_SIZES: Final = "4K,64K,2M"
MEMORY: Final = "1G"
QUICK_MEMORY: Final = "64M"
INTERPRETED_MEMORY: Final = "8M"
SPARE: Final = 0.4
QUICK_SPARE: Final = 0.1
"""Seconds that a case may take for rounds beyond those that a verdict needs."""
SEED: Final = 1
