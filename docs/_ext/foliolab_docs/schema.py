"""The schema of result files, made from the structs that write and read them."""

from __future__ import annotations

import json

import msgspec

from foliolab.framework.reference.files import keys, struct_at
from foliolab_docs.markdown import fenced
from foliolab_docs.reference import markdown


def part(path: str) -> list[str]:
    """The tables of a struct and its JSON Schema.

    Args:
        path: `module:Struct` below foliolab.framework, such as results.result:Result.
    """
    root = struct_at(path)
    formal = json.dumps(msgspec.json.schema(root), indent=1).splitlines()
    return [*markdown(keys(root)), "### As JSON Schema", "", *fenced("json", formal)]
