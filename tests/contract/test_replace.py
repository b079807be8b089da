"""`Policy.replace`: one step of a derived policy, and no replacement without effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import PluginError
from foliolab.framework.plugins.registry import load
from foliolab.policies import mm_id, page_mapcount
from foliolab.policies.parts import reuse


def other(folio: Any) -> bool:
    return True


def variant(*pairs: tuple[Any, Any]) -> Policy:
    return replace(mm_id.POLICY, name="variant", models=None, mutants=None, replace=pairs)


@pytest.mark.parametrize("function", [page_mapcount.maybe_mapped_shared, mm_id.can_reuse, other])
def test_a_function_that_the_text_never_calls_cannot_be_replaced(function: Any) -> None:
    name = function.__qualname__
    with pytest.raises(PluginError, match=f"policy variant: replace names {name} at .*never calls"):
        variant((reuse.only_mapped, other), (function, other)).with_parameters()


def test_a_function_that_only_the_replaced_text_called_cannot_be_replaced() -> None:
    pairs = ((mm_id.can_reuse, other), (reuse.only_mapped, other))
    hooks = replace(mm_id.POLICY.hooks, can_reuse=None)
    with pytest.raises(PluginError, match="only_mapped"):
        replace(variant(*pairs[1:]), hooks=hooks).with_parameters()


def test_a_function_that_hooks_call_is_replaced() -> None:
    scheme = variant((reuse.only_mapped, other)).with_parameters()
    assert policy_digest(scheme) != policy_digest(mm_id.POLICY.with_parameters())


def test_a_plugin_that_replaces_nothing_is_listed_as_broken(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from foliolab.policies import mm_id, page_mapcount\n"
        "def mine(folio):\n    return True\n"
        "POLICY = replace(mm_id.POLICY, name='mine', models=None, mutants=None,\n"
        "                 replace=((page_mapcount.maybe_mapped_shared, mine),))\n"
    )
    (failure,) = load([tmp_path / "mine.py"]).failures
    assert "policy mine: replace names maybe_mapped_shared" in failure.message
