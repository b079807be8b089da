"""A small installable package for a new plugin: entry point, text, tests, CI. Its tests pass as generated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import UsageError
from foliolab.framework.plugins import starter


@dataclass(frozen=True)
class Kind:
    """A kind of package.

    Args:
        offers: the attribute of `Registry` that has what such a package offers.
        template: of the plugin's text.
        tests: template of its tests.
        summary: the description in pyproject.toml.
        command: the `foliolab` command that its CI runs after the tests.
        example: template of a file beside the tests; empty for none.
    """

    offers: str
    template: str
    tests: str
    summary: str
    command: str
    example: str = ""


KINDS: Final = {
    "policy": Kind(
        "policies", "policy.py", "test_policy.py", "A scheme that tracks who owns a large folio, for FolioLab",
        "check PLUGIN-NAME",
    ),
    "caller": Kind(
        "callers", "caller.py", "test_caller.py", "Operations of the kernel in a text of their own, for FolioLab",
        "verify mm-id --caller PLUGIN-NAME --budget 30",
    ),
    "asker": Kind(
        "askers", "asker.py", "test_asker.py", "Who asks whether a folio is shared, for FolioLab",
        "consequences scenarios --askers PLUGIN-NAME",
    ),
    "detector": Kind(
        "detectors", "detector.py", "test_detector.py", "A detector of partially mapped folios, for FolioLab", "list"
    ),
    "workload": Kind(
        "workloads", "workload.py", "test_workload.py", "A workload for FolioLab",
        "compare --workloads PLUGIN-NAME --policies all --quick",
    ),
    "pattern": Kind(
        "patterns", "pattern.py", "test_pattern.py", "A sharing pattern for FolioLab", "precision PLUGIN-NAME --mms 1-4"
    ),
    "reader": Kind(
        "trace_readers", "reader.py", "test_reader.py", "A reader of traces for FolioLab",
        "import tests/example.txt -o trace.ftrace", "example.txt",
    ),
}  # fmt: skip


def write(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a package.

    Args:
        kind: one of KINDS.
        name: of the plugin, such as my-idea.
        folder: the folder to make; it must not exist, or be empty.

    Returns:
        the files that were written.

    Raises:
        UsageError: there is no such kind, the name is not valid, or the folder is not empty.
        ResultFileError: a file cannot be written.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no new {kind!r}", f"there are {', '.join(KINDS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already", "choose another folder with --folder, or another name")
    what, module = KINDS[kind], starter.module_name(name)
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}/__init__.py": what.template,
        f"tests/test_{module}.py": what.tests,
        ".github/workflows/check.yml": "check.yml",
    }
    if what.example:
        templates[f"tests/{what.example}"] = what.example
    texts = {file: _filled(template, what, name) for file, template in templates.items()}
    for file, text in texts.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    return [folder / file for file in texts]


def _filled(template: str, what: Kind, name: str) -> str:
    found = starter.text(name, template).replace(" --plugin FILE", "")  # a package is installed instead
    return found.replace("SUMMARY", what.summary).replace("COMMAND", what.command.replace("PLUGIN-NAME", name))
