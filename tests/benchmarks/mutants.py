"""Refute every mutant: `python tests/benchmarks/mutants.py`, on two cores about ten minutes.

Each of them, a policy or a caller with one mistake (`tests/verify/catalogue.py`), gets the attacks that every policy
gets, for 60 seconds. The table names the attack that refuted it first, the law that broke, and the time until the
interpreted engine had confirmed the counterexample. `--only WORD` takes those whose kind or name has the word in it.
`--save` writes the rows into docs/data/mutants.json, from which the documentation makes its table; rows of others stay.
The exit code is 1 if one was not refuted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from foliolab.framework.document import write_atomically
from foliolab.framework.host import cores, describe_host
from foliolab.framework.results.provenance import now

sys.path.insert(0, str(Path(__file__).parents[1] / "verify"))
from catalogue import Mutant, catalogue, refute

SAVED: Final = Path(__file__).parents[2] / "docs" / "data" / "mutants.json"
SECONDS: Final = 60.0


def row(mutant: Mutant, seconds: float) -> dict[str, Any]:
    """How a mutant was refuted; without "attack" if it was not."""
    found = refute(mutant, seconds)
    policy = mutant.right.policy.name
    return {"name": mutant.name, "kind": mutant.kind, "policy": policy} | (asdict(found) if found else {})


def line(one: dict[str, Any]) -> str:
    """A row as text."""
    if "attack" not in one:
        return f"{one['kind']:16} {one['name']:42} NOT REFUTED"
    return (
        f"{one['kind']:16} {one['name']:42} {one['attack']:10} {one['law']:18} "
        f"{one['seconds']:6.1f} s {one['processor_s']:6.1f} s"
    )


def _save(rows: list[dict[str, Any]], seconds: float, path: Path) -> None:
    """Write rows into a file; those of other mutants stay."""
    kept = json.loads(path.read_text("utf-8"))["mutants"] if path.exists() else []
    known = {one["name"]: one for one in (*kept, *rows)}
    here, load = describe_host(), os.getloadavg()[0]
    found: dict[str, Any] = {
        "machine": f"{here.cpu}, {cores()} processors",
        "load": load,
        "date": now()[:10],
        "seconds": seconds,
        "mutants": [known[one.name] for one in catalogue() if one.name in known],
    }
    write_atomically(path, json.dumps(found, indent=1).encode() + b"\n")


def main() -> None:
    """Refute the mutants that were asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for each of them [{SECONDS:g}]")
    parser.add_argument("--save", nargs="?", type=Path, const=SAVED, metavar="FILE", help="[docs/data/mutants.json]")
    asked = parser.parse_args()
    chosen = [one for one in catalogue() if asked.only in one.kind or asked.only in one.name]
    rows = []
    for mutant in chosen:
        rows.append(row(mutant, asked.seconds))
        print(line(rows[-1]), flush=True)
        if asked.save:
            _save(rows, asked.seconds, asked.save)
    refuted = sum("attack" in one for one in rows)
    print(f"{refuted} of {len(rows)} refuted, each within {asked.seconds:g} s")
    sys.exit(refuted < len(rows))


if __name__ == "__main__":
    main()
