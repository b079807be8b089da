"""The callers that ship with FolioLab: operations of the kernel in another text, right ones and wrong ones."""

from __future__ import annotations

from foliolab.policies.callers import fork, mremap, threads

CALLERS = (
    fork.PAGE_BY_PAGE,
    fork.FIRST_WRITABLE,
    mremap.FIRST_WRITABLE,
    threads.GUP_BESIDE_FORKS,
    threads.DIRTY_COW,
    threads.WITHOUT_PTE_SAME,
    threads.MIGRATION_PEEKS,
    threads.MIGRATION_WRITABLE,
)
