"""A training in short: `python loader.py WORKERS EPOCHS OUT`.

A corpus of texts is in memory; in each epoch workers are forked anew, as data loaders do that do not keep them, and
make batches of token numbers from it. The parent uses each batch to change its parameters.
"""

from __future__ import annotations

import random
import sys
from array import array
from multiprocessing import get_context
from pathlib import Path

TEXTS = 60_000
BATCH = 32
BATCHES = 400
PARAMETERS = 2_000_000
CORPUS = [f"text {number} about {number * 7919 % 1009}, {number * 104729 % 2003} and others" for number in range(TEXTS)]
VOCABULARY: dict[str, int] = {}


def batch(seed: int) -> list[list[int]]:
    """Some texts as numbers of their words."""
    choose = random.Random(seed)
    return [
        [VOCABULARY.setdefault(word, len(VOCABULARY)) for word in text.split()] for text in choose.sample(CORPUS, BATCH)
    ]


def main(workers: int, epochs: int, out: Path) -> None:
    """Train; leave the number of batches."""
    parameters, done = array("f", bytes(4 * PARAMETERS)), 0
    for epoch in range(epochs):
        with get_context("fork").Pool(workers) as pool:
            for rows in pool.imap(batch, range(epoch * BATCHES, (epoch + 1) * BATCHES)):
                step = PARAMETERS // 400
                for row in rows:
                    for place in range(sum(row) % step, PARAMETERS, step):
                        parameters[place] += 0.5
                done += 1
    out.write_text(f"{done}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
