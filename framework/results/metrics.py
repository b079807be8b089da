"""The counted metrics: exact, and the same in every run."""

from __future__ import annotations

from typing import Final

COUNTED: Final = {
    "atomics": "instructions with a lock prefix, per page",
    "policy_atomics": "those of them that change a field of the policy, per page",
    "lock_sections": "locks taken, per page",
    "loads": "loads from struct pages, page tables and MMs, per page",
    "stores": "stores there, per page",
    "cache_lines": "different lines of 64 bytes that were touched, per page",
    "instructions": "instructions of the compiled form, per page; with --cpu",
    "locked": "those of them with a lock prefix, per page; with --cpu",
    "copied_pages": "pages that were copied, per page; with --cpu",
    "bits_per_folio": "bits that the policy stores for a folio",
    "bits_per_page": "bits that the policy stores for a page",
    "struct_page_bytes": "the size of struct page",
}
"""Every metric by its name, and what it counts. `--compare-fail` and `foliolab diff` compare them."""
