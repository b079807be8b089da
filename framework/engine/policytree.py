"""A policy's text as a call tree, and digests that distinguish policies and callers. Does not import numpy."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path

from foliolab.framework.contract.hooks import takes_vpn
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import calls, hooks
from foliolab.framework.engine.callers import author_functions, caller_digest
from foliolab.framework.engine.calls import LEAVES
from foliolab.framework.engine.policytext import check_text
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.checks import has_checks, unchecked_code


@cache
def policy_tree(scheme: Scheme) -> CallTree:
    """Everything that the policy's entries (`calls.ENTRIES`) reach, with the policy's hooks instead of the stubs.

    Raises:
        PluginError: the text has what no execution allows (see `policytext`), or needs what it cannot have.
    """
    given = scheme.policy.hooks.given()
    put = hooks.defaults(frozenset(f.name for f in scheme.fields))
    put |= {hooks.stub(name, takes_vpn(name, hook)): hook for name, hook in given.items()}
    put |= dict(scheme.policy.replace)
    tree = CallTree(calls.ENTRIES, LEAVES, put, scheme.constants)
    check_text(tree, scheme)
    return tree


@cache
def unchecked_tree(scheme: Scheme) -> CallTree:
    """The same without the text's own checks, for what is timed or counted."""
    return policy_tree(scheme).with_code(unchecked_code)


def checked(scheme: Scheme) -> bool:
    """Whether the policy's text has checks of its own."""
    return any(map(has_checks, policy_tree(scheme).needs))


def _declared(scheme: Scheme) -> bytes:
    policy = scheme.policy
    declared = (
        scheme.values, scheme.fields, sorted(scheme.capabilities), scheme.max_mm_id, policy.max_order,
        policy.max_mappings,
    )  # fmt: skip
    return repr(declared).encode()


@cache
def policy_digest(scheme: Scheme) -> str:
    """A digest of a policy's declaration and compiled text, and of its caller's.

    Comments and the names of files and packages do not count.

    Compiled text differs between versions of Python, and so does the digest.
    """
    tree = policy_tree(scheme)
    whole = hashlib.sha256(_declared(scheme))
    for entry in calls.ENTRIES:
        whole.update(tree.text_digest(entry).encode())
    if scheme.caller is not None:
        whole.update(caller_digest(scheme.caller).encode())
    return whole.hexdigest()[:16]


def text_modules(scheme: Scheme) -> set[str]:
    """The modules that the functions of a policy's text, and of its caller's, stand in."""
    functions = set(policy_tree(scheme).needs) | (author_functions(scheme.caller) if scheme.caller else set())
    return {function.__module__ for function in functions}


def source_digest(scheme: Scheme) -> str:
    """A digest of a policy's declaration and source files, and its caller's; the same for every version of Python.

    Every change of a file counts, also of a comment, but not its name. The files may be newer than the code that
    runs. If a file cannot be read, the digest is empty.
    """
    modules = text_modules(scheme)
    whole = hashlib.sha256(_declared(scheme))
    try:
        texts = {hashlib.sha256(Path(sys.modules[name].__file__ or "").read_bytes()).digest() for name in modules}
    except (OSError, KeyError, AttributeError):
        return ""
    for text in sorted(texts):
        whole.update(text)
    return whole.hexdigest()[:16]
