"""Parameters keep their word: a choice reaches what the parameter is for, and one that changes nothing is refused."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.contract.parameter import Parameter
from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine.engine import Execution, Shape, policy_library
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import PluginError
from foliolab.framework.plugins.registry import load
from foliolab.policies import estimated_sharers, exact, mm_id, mm_id_slots, page_mapcount
from foliolab.policies.parts import page_mapcounts
from foliolab.policies.rmap_id import policy as rmap_id
from foliolab.policies.rmap_id import values as rmap_values

DERIVED = '''
"""A variant of mm-id with a parameter of its own."""
from dataclasses import replace
from foliolab.framework.api import Parameter, atomic_read
from foliolab.policies import mm_id

LIMIT = 1

def maybe_mapped_shared(folio):
    """Shared if there are more mappings than LIMIT."""
    return atomic_read(folio._large_mapcount) + 1 > LIMIT

POLICY = replace(
    mm_id.POLICY, name="mine-param", models=None, mutants=None, derive=None, capabilities_of=None,
    capabilities=frozenset({"safe", "pmd"}), fields=(*mm_id.COUNTERS, *mm_id.SLOT_FIELDS), max_mm_id=mm_id.MM_ID_MASK,
    parameters=(Parameter("limit", "LIMIT", 1, 0, 9, doc="x"),),
    hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared),
)
'''
Loader = Callable[[str], Any]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Imports a text as a module."""

    def loaded(text: str) -> Any:
        name = f"of_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(text)
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        assert spec is not None and spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, made)
        spec.loader.exec_module(made)
        return made

    return loaded


def answer(policy: Policy, execution: Execution = "interpreted", **chosen: int) -> bool:
    """Whether a folio with four mappings may be mapped shared."""
    m = Machine(policy.with_parameters(chosen), Shape(8, 1, 8, max_order=2), execution)
    m.create(0)
    m.populate(0, 0, 4, 2)
    return m.maybe_shared(m.frame(0, 0))


@pytest.mark.parametrize("execution", ["interpreted", "native"])
def test_a_derived_policy_has_a_parameter_of_its_own(module: Loader, execution: Execution) -> None:
    policy = module(DERIVED).POLICY
    assert answer(policy, execution) is True
    assert answer(policy, execution, limit=9) is False
    assert answer(policy, execution, limit=3) is True


def test_a_constant_of_another_module_is_part_of_the_digest_and_of_the_key_of_native_code(module: Loader) -> None:
    policy = module(DERIVED).POLICY
    schemes = [policy.with_parameters({"limit": limit}) for limit in (1, 9)]
    assert len({policy_digest(scheme) for scheme in schemes}) == 2
    keys = {library._table_key(list(library.tree.needs), "fpiai") for library in map(policy_library, schemes)}
    assert len(keys) == 2


def test_a_plugin_s_parameter_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DERIVED.replace(" > LIMIT", " > 1"))
    (failure,) = load([tmp_path / "mine.py"]).failures
    for word in ("mine-param", "parameter limit", "constant LIMIT", "foliolab.policies.mm_id"):
        assert word in failure.message


def variant(**changes: Any) -> Policy:
    """A policy with one parameter of the test's."""
    common = {"name": "variant", "models": None, "mutants": None, "capabilities_of": None, "derive": None}
    kept = {"fields": (*mm_id.COUNTERS, *mm_id.SLOT_FIELDS), "max_mm_id": mm_id.MM_ID_MASK}
    return replace(mm_id.POLICY, **{**common, **kept, **changes})


def test_a_constant_that_exists_but_is_not_read_by_a_hook_is_refused() -> None:
    assert mm_id.COUNTERS
    policy = variant(parameters=(Parameter("x", "COUNTERS", 1, 0, 9),))
    with pytest.raises(PluginError, match=r"policy variant: the parameter x changes nothing: .*mm_id.* COUNTERS"):
        policy.with_parameters()


def test_a_constant_of_the_framework_is_no_constant_of_a_policy() -> None:
    policy = variant(parameters=(Parameter("x", "PG_swapcache", 1, 0, 9),))
    with pytest.raises(PluginError, match="changes nothing"):
        policy.with_parameters()


@pytest.mark.parametrize(
    "use",
    [
        {"derive": lambda values: {"SHARED_BIT": 63 if values["x"] else 62}},
        {"derive": lambda values: {name.upper(): value for name, value in values.items() if name == "X"}},
        {"derive": lambda values: helper(values) if len(values) > 9 else {}},
        {"fields": lambda values: (*mm_id.COUNTERS, *mm_id.SLOT_FIELDS)[: 9 + values["x"]]},
        {"capabilities_of": lambda values: frozenset({"safe"} if values["x"] else ())},
        {"max_mm_id": lambda values: 100 + values["x"]},
    ],
)
def test_a_parameter_that_only_the_declaration_uses_needs_no_constant(use: dict[str, Any]) -> None:
    scheme = variant(parameters=(Parameter("x", "", 1, 0, 9),), **use).with_parameters()
    assert scheme.parameters == {"x": 1}


def helper(values: Any) -> Any:
    return {"SHARED_BIT": values["x"]}


def test_a_name_that_two_modules_read_needs_its_module() -> None:
    policy = replace(rmap_id.POLICY, parameters=(*rmap_id.POLICY.parameters, Parameter("b", "BATCHED", 1)))
    with pytest.raises(
        PluginError, match=r"parameter b rebinds the constant BATCHED, which .*mapcounts and .*values each"
    ):
        policy.with_parameters()
    constants = rmap_id.POLICY.with_parameters({"batched": 0}).constants
    assert constants[rmap_values.__name__, "BATCHED"] == 0
    assert (page_mapcounts.__name__, "BATCHED") not in constants


def test_a_constant_that_another_module_imported_by_name_is_rebound_there_too(module: Loader) -> None:
    made = module(
        "from foliolab.framework.api import test_bit\n"
        "from foliolab.policies.mm_id import SHARED_BIT\n"
        "def maybe_mapped_shared(folio):\n    return test_bit(SHARED_BIT, folio._mm_ids)\n"
    )
    hooks = replace(mm_id_slots.POLICY.hooks, maybe_mapped_shared=made.maybe_mapped_shared)
    scheme = replace(mm_id_slots.POLICY, hooks=hooks).with_parameters({"width": "32"})
    assert {at: value for at, value in scheme.constants.items() if at[1] == "SHARED_BIT"} == {
        (mm_id.__name__, "SHARED_BIT"): 31,
        (made.__name__, "SHARED_BIT"): 31,
    }


def test_derive_binds_the_constants_of_the_module_that_reads_them() -> None:
    constants = estimated_sharers.POLICY.with_parameters().constants
    assert constants == {(page_mapcount.__name__, "LARGE_MAPCOUNT"): 0, (page_mapcounts.__name__, "BATCHED"): 0}


SEEN: list[dict[str, Any]] = []


def seen(values: Any) -> Any:
    SEEN.append(dict(values))
    return {}


@pytest.mark.parametrize(("version", "value"), [(2, "32"), (1, 1)])
def test_a_choice_reaches_the_declaration_as_a_word_and_in_version_1_as_its_index(version: int, value: Any) -> None:
    policy = variant(
        parameters=(Parameter("width", "", "64", choices=("64", "32")),),
        api_version=version,
        derive=seen,
        max_mm_id=lambda values: len(seen(values)) + 1,
        fields=lambda values: (*mm_id.COUNTERS, *seen(values)),
        capabilities_of=lambda values: frozenset(seen(values)),
    )
    scheme = policy.with_parameters({"width": "32"})
    for name in ("constants", "max_mm_id", "fields", "capabilities"):
        SEEN.clear()
        getattr(scheme, name)
        assert [{"width": value}] == SEEN, name
    assert scheme.values == (("width", 1),)


def test_the_constant_of_a_choice_is_its_index() -> None:
    assert rmap_id.POLICY.with_parameters({"stage": "123"}).constants[rmap_values.__name__, "STAGE"] == 2


def test_shipped_policies_have_no_parameter_without_effect() -> None:
    for policy in load().policies.values():
        assert policy.with_parameters().constants is not None
    assert exact.POLICY.with_parameters({"mms": 9}).max_mm_id == 8
