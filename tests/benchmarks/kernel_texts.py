"""Run the programs of findings on the kernel's own C: `python tests/benchmarks/kernel_texts.py TREE...`.

Each TREE is a folder with a kernel's sources, such as Debian's linux-source-*, extracted; `=OPTIONS` after it chooses,
as in linux-source-7.3=NO_PAGE_MAPCOUNT:y. Every program with several threads that broke a law in a shipped policy is
explored on it by `foliolab verify tree:TREE --program`. What came out goes into `docs/data/kernel-texts.json`, for the
pages about findings: versions, options and verdicts, nothing of the kernel's text.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import UsageError
from foliolab.framework.plugins.registry import load
from foliolab.framework.results.provenance import now
from foliolab.framework.verify.ledger import Ledger

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_ext"))
from foliolab_docs.findingpages import KERNEL_TEXTS, Found, found, program_key

SECONDS: Final = 60


def programs() -> Iterator[Found]:
    """Findings with several threads, one of each program and law."""
    registry = load()
    known = set()
    for one in found(registry, Ledger.of(registry)):
        if one.example and len(one.example.threads) > 1 and (key := program_key(one)) not in known:
            known.add(key)
            yield one


def version(tree: Path) -> str:
    """The version that a tree's Makefile says.

    Raises:
        UsageError: it says none.
    """
    text = (tree / "Makefile").read_text("utf-8") if (tree / "Makefile").exists() else ""
    numbers = re.findall(r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", text, re.MULTILINE)
    if len(numbers) != 3:
        raise UsageError(f"{tree} has no Makefile of a kernel", "name the folder of a kernel's sources")
    return ".".join(numbers)


def run(one: Found, tree: Path, options: str) -> dict[str, Any]:
    """Explore a finding's program on a tree's text.

    Raises:
        UsageError: the tree cannot be read as a policy.
    """
    assert one.example is not None
    with tempfile.TemporaryDirectory() as folder:
        program, saved = Path(folder) / "program.json", Path(folder) / "verdicts.json"
        program.write_bytes(one.example.encoded())
        name = ":".join(["tree", str(tree), *([options.replace(":", "=")] if options else [])])
        command = [sys.executable, "-P", "-m", "foliolab.framework.cli", "verify", name, "--program", str(program)]
        command += ["--budget", str(SECONDS), "--json", str(saved), "--output", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not saved.exists():
            raise UsageError(f"{tree}: {done.stderr.strip()}", "foliolab show tree:TREE says what is missing")
        (verification,) = json.loads(saved.read_text("utf-8"))["verifications"]
    findings = [finding for finding in verification["findings"] if finding["claim"] == one.kept.claim]
    verdict = findings[0]["verdict"] if findings else "not claimed"
    return {
        "law": one.law, "program": program_key(one), "kernel": version(tree), "options": options.replace(":", "="),
        "verdict": verdict, "states": findings[0]["states"] if findings else 0, "date": now()[:10],
    }  # fmt: skip


def main() -> None:
    """Run every program on every tree, and keep what came out beside what is there of others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="+", metavar="TREE[=OPTIONS]")
    rows = json.loads(KERNEL_TEXTS.read_text("utf-8"))
    for tree, _, options in (written.partition("=") for written in parser.parse_args().trees):
        for one in programs():
            row = run(one, Path(tree), options)
            print(row)
            same = ("law", "program", "kernel", "options")
            rows = [old for old in rows if any(old[key] != row[key] for key in same)] + [row]
    write_atomically(KERNEL_TEXTS, json.dumps(rows, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
