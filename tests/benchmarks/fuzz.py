"""Damage valid files in many ways, and let every reader take them: `python tests/benchmarks/fuzz.py --mutations 10000`.

A reader takes a file, or refuses it in one sentence that names it, with an exit code of 1 to 4. Wrong is otherwise: a
traceback or an unexpected error, more than 5 s of CPU time, more than 512 MiB of memory, a sentence without the
file's name. Each input is taken by a child with these limits. The command prints a table, and keeps what went wrong.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "hostile"))

from jail import Outcome, outcomes
from mutations import mutants
from readers import Reader, all_readers, warm

WRONG: Final = ("traceback", "hang", "memory", "unnamed")
KEPT: Final = 5
"""Inputs that are kept of each reader and each way to go wrong."""


def take(reader: Reader, mutations: int, seed: int, folder: Path, keep: Path | None = None) -> list[Outcome]:
    """Let a reader take mutants of its seeds; the outcomes.

    Args:
        folder: for its file.
        keep: a folder for the inputs that go wrong; None keeps none.
    """
    found: list[Outcome] = []
    each = math.ceil(mutations * reader.share / len(reader.seeds))
    for number, data in enumerate(reader.seeds):
        inputs = [*mutants(data, each, seed + number)]
        for made, outcome in zip(inputs, outcomes(reader.read, inputs, folder / f"input{reader.suffix}"), strict=True):
            found.append(outcome)
            name = f"{reader.name.replace(' ', '-')}-{outcome.wrong}-{len(found)}"
            if outcome.wrong and keep is not None and sum(one.wrong == outcome.wrong for one in found) <= KEPT:
                (keep / f"{name}{reader.suffix}").write_bytes(made)
                (keep / f"{name}.said").write_text(outcome.said)
    return found


def main() -> int:
    """Run the fuzzer; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=10_000, help="inputs of all readers together (10,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (1)")
    parser.add_argument("--readers", default="", help="only readers whose name has this text")
    parser.add_argument("--table", type=Path, default=None, metavar="FILE", help="where to write the table as Markdown")
    parser.add_argument("--keep", type=Path, default=None, metavar="DIR", help="where to keep inputs that go wrong")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    rows = [["reader", "inputs", *WRONG, "longest, s", "most, MiB"]]
    print(_line(rows[0]), flush=True)
    with tempfile.TemporaryDirectory(prefix="foliolab-fuzz-") as name:
        folder = Path(name)
        warm(folder)
        readers = [one for one in all_readers(folder) if options.readers in one.name]
        for reader in readers:
            found = take(reader, -(-options.mutations // len(readers)), options.seed, folder, options.keep)
            rows.append(_row(reader, found))
            print(_line(rows[-1]), flush=True)
    if options.table is not None:
        lines = [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]
        options.table.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
    return int(any(word != "0" for row in rows[1:] for word in row[2 : 2 + len(WRONG)]))


def _row(reader: Reader, found: list[Outcome]) -> list[str]:
    count = Counter(one.wrong for one in found)
    longest, most = max(one.seconds for one in found), max(one.mib for one in found)
    return [reader.name, str(len(found)), *(str(count[word]) for word in WRONG), f"{longest:.2f}", str(most)]


def _line(row: list[str]) -> str:
    return f"{row[0]:20}" + "".join(f"{text:>12}" for text in row[1:])


if __name__ == "__main__":
    sys.exit(main())
