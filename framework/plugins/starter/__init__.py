"""Starting files for new policies and other plugins: commented, and complete as they are.

A single file for `--plugin` and the window (`write`), or an installable package with its tests (`package.write`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import UsageError

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LANGUAGES: Final = (".py", ".c")
"""The suffixes of a policy's file."""
TEMPLATES: Final = Path(__file__).with_name("templates")


def text(name: str, template: str = "policy.py") -> str:
    """The text of a starting file.

    Args:
        name: of the plugin.
        template: the file in `templates`, without .txt.

    Raises:
        UsageError: the name is not valid.
    """
    if not NAME.fullmatch(name):
        hint = "a name is lower-case letters and digits, with hyphens between words, such as my-idea"
        raise UsageError(f"{name!r} is not a valid name", hint)
    found = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    return found.replace("PLUGIN-NAME", name).replace("PLUGIN_MODULE", module_name(name))


def write(name: str, path: Path) -> Path:
    """Write the starting file of a policy, in Python or in C.

    Raises:
        UsageError: the name is not valid, the file exists, or its name ends neither in .py nor in .c.
        ResultFileError: the file cannot be written.
    """
    if path.suffix not in LANGUAGES:
        raise UsageError(f"{path} is neither a Python file nor a C file", "choose a name that ends in .py or .c")
    policy = text(name, f"policy{path.suffix}")
    if path.exists():
        raise UsageError(f"{path} exists already", "open it, or choose another name")
    write_atomically(path, policy.encode())
    return path


def module_name(name: str) -> str:
    """The name of a plugin as the name of a Python module."""
    return name.replace("-", "_")


def file_name(name: str, suffix: str = ".py") -> str:
    """The default file name of a policy, in the language of a suffix."""
    return f"{module_name(name)}{suffix}"
