"""A policy's text as a call tree: what is interpreted, compiled, and told apart from other texts. Without numpy."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from foliolab.framework.engine import calls, hooks
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.primitives import PRIMITIVES
from foliolab.framework.policy import Scheme, takes_place

LEAVES: Final = frozenset({*PRIMITIVES, calls.policy_call})


@cache
def policy_tree(scheme: Scheme) -> CallTree:
    """Everything that the policy's entries (`calls.ENTRIES`) reach, its hooks in place of the stubs."""
    given = scheme.policy.hooks.given()
    put = hooks.defaults(frozenset(f.name for f in scheme.fields))
    put |= {hooks.stub(name, takes_place(name, hook)): hook for name, hook in given.items()}
    put |= dict(scheme.policy.replace)
    return CallTree(calls.ENTRIES, LEAVES, put, scheme.constants)


@cache
def policy_digest(scheme: Scheme) -> str:
    """What tells one policy's text and declaration from another's: comments and file names do not count."""
    tree = policy_tree(scheme)
    policy = scheme.policy
    declared = (
        scheme.values, scheme.fields, sorted(scheme.capabilities), scheme.max_mm_id, policy.max_order,
        policy.max_mappings,
    )  # fmt: skip
    whole = hashlib.sha256(repr(declared).encode())
    for entry in calls.ENTRIES:
        whole.update(tree.digest(entry).encode())
    return whole.hexdigest()[:16]
