"""What a new policy, workload or trace reader starts from: commented, and complete as it stands.

A single file for `--plugin` and the window (`write`), or an installable package with its tests (`package.write`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import UsageError

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TEMPLATES: Final = Path(__file__).with_name("templates")


def text(name: str, template: str = "policy.py") -> str:
    """A starting file.

    Args:
        name: of the policy, workload or reader.
        template: which file.

    Raises:
        UsageError: it is no such name.
    """
    if not NAME.fullmatch(name):
        hint = "a name is lower-case letters and digits, with hyphens between words, such as my-idea"
        raise UsageError(f"{name!r} is no name", hint)
    found = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    return found.replace("PLUGIN-NAME", name).replace("PLUGIN_MODULE", module_name(name))


def write(name: str, path: Path) -> Path:
    """Write the starting file of a policy.

    Args:
        name: of the policy.
        path: the file; it must not exist.

    Raises:
        UsageError: it is no name for a policy, the file exists, or is none of Python.
        ResultFileError: the place cannot be written to.
    """
    begun = text(name)
    if path.suffix != ".py":
        raise UsageError(f"{path} is no Python file", "let its name end in .py")
    if path.exists():
        raise UsageError(f"{path} exists already", "open it, or choose another name")
    write_atomically(path, begun.encode())
    return path


def module_name(name: str) -> str:
    """A name as that of a module."""
    return name.replace("-", "_")


def file_name(name: str) -> str:
    """How the file of a policy is called by default."""
    return f"{module_name(name)}.py"
