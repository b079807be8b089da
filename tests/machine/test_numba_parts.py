"""What is private in numba stands in one module, and this release of numba has it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

parts = pytest.importorskip("foliolab.framework.machine.numba_parts", reason="numba is missing")

FRAMEWORK = Path(parts.__file__).parents[1]
PUBLIC = {"numba", "numba.types", "numba.extending"}
FILES = [file for file in sorted(FRAMEWORK.rglob("*.py")) if file.name != "numba_parts.py"]


def nodes(file: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(file.read_text("utf-8")))


def private_imports(file: Path) -> set[str]:
    """What a file imports of numba beyond its public modules."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "numba":
            found |= {
                f"{node.module}.{one.name}" for one in node.names if node.module not in PUBLIC or one.name[0] == "_"
            }
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names if one.name.startswith("numba.") and one.name not in PUBLIC}
    return found


def private_attributes(file: Path) -> set[str]:
    """Private attributes of other objects, and overridden private ones of a base class of numba's."""
    found = {
        node.attr
        for node in nodes(file)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    classes = [node for node in nodes(file) if isinstance(node, ast.ClassDef)]
    for made in classes:
        if not made.bases:
            continue
        own = {one.name for one in made.body if isinstance(one, ast.FunctionDef)}
        own |= {
            one.targets[0].id
            for one in made.body
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
        }
        found |= {name for name in own if name.startswith("_") and not name.startswith("__") and name != "_name"}
    return found


def test_only_one_module_imports_what_is_private() -> None:
    assert {file.name: found for file in FILES if (found := private_imports(file))} == {}


def test_private_attributes_are_those_that_it_names() -> None:
    users = [file for file in FILES if "numba_parts import" in file.read_text("utf-8")]
    assert {"codegen.py", "objectcode.py", "builder.py", "addressing.py"} <= {file.name for file in users}
    used = {name for file in users for name in private_attributes(file)}
    assert used <= set(parts.ATTRIBUTES)
    text = "".join(file.read_text("utf-8") for file in users)
    assert not [name for name in parts.ATTRIBUTES if name not in text]


@pytest.mark.parametrize("name", parts.ATTRIBUTES)
def test_this_release_has_it(name: str) -> None:
    context = parts.cpu_target.target_context
    context.codegen()
    generator = parts.JITCPUCodegen("test")
    objects = [context, context.call_conv, parts.compiler.CompileResult, parts.JITCodeLibrary, parts.JITCPUCodegen]
    objects += [generator, generator.create_library("test"), parts.Environment]
    assert any(hasattr(one, name) for one in objects), name
