"""The reference has every hook and every primitive with its signature, and some test names each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path

import msgspec
import pytest

from foliolab.framework import api
from foliolab.framework.contract.hooks import HOOK_ARGUMENTS, HOOKS_WITH_VPN, Hooks
from foliolab.framework.engine import hooks
from foliolab.framework.machine import primitives
from foliolab.framework.plugins import registry
from foliolab.framework.plugins.registry import KINDS
from foliolab.framework.reference import files, parts
from foliolab.framework.reference.hooks import HOOK_WORDS
from foliolab.framework.results.result import Result

reference = pytest.importorskip("foliolab_docs.reference", reason="the extra `docs` is not installed")
schema = pytest.importorskip("foliolab_docs.schema")

ROOT = Path(__file__).parents[2]
PAGES = "\n".join((ROOT / "docs" / f"reference-{name}.md").read_text("utf-8") for name in ("hooks", "files"))
PRIMITIVES = sorted(
    name for name in api.__all__ if getattr(getattr(api, name), "__module__", "") == primitives.__name__
)
PLUGIN_HOOKS = sorted(kind.hook for kind in KINDS)
FUNCTIONS = sorted(name for name in api.__all__ if inspect.isfunction(getattr(api, name)))


def parameters(name: str) -> list[str]:
    return list(inspect.signature(getattr(hooks, name)).parameters)


def signature(name: str, function: Callable[..., object]) -> str:
    """As the function is written, annotations included."""
    return name + str(inspect.signature(function)).replace("'", "")


def row(part: str, signature: str) -> str:
    """The row of the reference that begins with a signature."""
    rows = [line for line in reference.part(part) if line.startswith(f"| `{signature}` |")]
    assert len(rows) == 1, signature
    return str(rows[0])


@cache
def named_by_tests() -> frozenset[str]:
    """Every word of every test but those of the documentation."""
    files = [file for file in (ROOT / "tests").rglob("*.py") if file.parent.name != "docs"]
    return frozenset(word for file in files for word in re.findall(r"\w+", file.read_text("utf-8")))


def test_the_pages_show_every_part() -> None:
    shown = re.findall(r"^```\{foliolab-generated\} (\S+)$", PAGES, re.MULTILINE)
    assert sorted([*shown, "result"]) == sorted(parts.PARTS)


def test_the_contract_has_these_hooks() -> None:
    assert list(HOOK_ARGUMENTS) == [one.name for one in fields(Hooks)]


@pytest.mark.parametrize("name", HOOK_ARGUMENTS)
def test_a_hook_stands_there_with_its_signature(name: str) -> None:
    function = getattr(hooks, name)
    assert len(parameters(name)) == HOOK_ARGUMENTS[name]
    written = row("policy-hooks", signature(name, function))
    assert ("vpn" in written.rpartition("|")[0].rpartition("|")[2]) == (name in HOOKS_WITH_VPN)
    said = HOOK_WORDS[name]
    assert said.startswith(f"({', '.join(parameters(name))})"), "the contract's docstring says otherwise"


@pytest.mark.parametrize("name", HOOK_ARGUMENTS)
def test_shipped_policies_write_a_hook_with_that_signature(name: str) -> None:
    """Their arguments are named alike, so the reference can be read beside them."""
    for policy in registry.load().policies.values():
        hook = policy.hooks.given().get(name)
        if hook is not None:
            names = [one.strip("_") for one in inspect.signature(hook).parameters]
            assert names[: HOOK_ARGUMENTS[name]] == parameters(name), policy.name


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_primitive_stands_there_with_its_signature(name: str) -> None:
    function = getattr(api, name)
    written = row("primitives", signature(name, function))
    assert inspect.getdoc(function)
    assert ("| yes |" in written) == (name in primitives.ATOMIC_RMW)


def test_no_primitive_is_missing() -> None:
    assert len(PRIMITIVES) > 40
    assert {function.__name__ for function in primitives.PRIMITIVES} <= set(PRIMITIVES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_in_exactly_one_part(name: str) -> None:
    function = getattr(api, name)
    part = "primitives" if function.__module__ == primitives.__name__ else "helpers"
    row(part, signature(name, function))


@pytest.mark.parametrize("name", PLUGIN_HOOKS)
def test_a_hook_of_a_plugin_stands_there(name: str) -> None:
    assert any(line.startswith(f"| `{name}() -> ") for line in reference.part("plugin-hooks"))


@pytest.mark.parametrize("name", [*HOOK_ARGUMENTS, *PRIMITIVES, *PLUGIN_HOOKS])
def test_a_test_names_it(name: str) -> None:
    assert name in named_by_tests()


# -- the result file -------------------------------------------------------------------------------------
@pytest.mark.parametrize("struct", files.structs(Result), ids=lambda struct: struct.__name__)
def test_every_key_of_a_result_is_explained(struct: type[msgspec.Struct]) -> None:
    lines = reference.markdown(files.keys(Result))
    at = lines.index(f"### {struct.__name__}")
    rows = [line for line in lines[at:] if line.startswith("| `")]
    for field, line in zip(msgspec.structs.fields(struct), rows, strict=False):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert cells[0].strip() == f"`{field.encode_name}`"
        assert len(cells) == 4 and cells[3], f"{struct.__name__}.{field.name} has no meaning in the docstring"


def test_the_schema_is_the_structs() -> None:
    names = [struct.__name__ for struct in files.structs(Result)]
    parts = ["HostInfo", "Config", "Cell", "Failure", "ProcessorPrediction", "BesideCell", "PredictedChange"]
    assert names == ["Result", *parts]
    page = (ROOT / "docs" / "reference-results.md").read_text("utf-8")
    assert "{foliolab-generated} results.result:Result" in page
    assert any('"$defs"' in line for line in schema.part("results.result:Result"))
