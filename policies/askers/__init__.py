"""Who asks a policy whether a folio is shared: Linux's own callers, and some that were proposed."""

from __future__ import annotations

from foliolab.policies.askers import linux, proposed

ASKERS = (*linux.ASKERS, *proposed.ASKERS)
