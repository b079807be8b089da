"""What the file of a counterexample may ask for; checked before a machine is made for it.

The limits lie above everything that the attacks write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from foliolab.framework import intake
from foliolab.framework.contract.policy import CLAIMS
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.structs import PTE_SIZE, STRUCT_PAGE
from foliolab.framework.errors import UsageError
from foliolab.framework.machine.primitives import PAGE_SIZE
from foliolab.framework.scenario.parser import parse
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.laws import LAWS

MOST_BYTES: Final = 64 << 20
"""Memory of the machine: playing copies and compares it with every step."""
MOST_BYTES_READ: Final = 1 << 34
"""Memory of the machine × operations."""
MOST_OPERATIONS: Final = 2000
MOST_OPERATIONS_OF_THREADS: Final = 200
"""Operations of a counterexample with a schedule: every access is a step of it."""
MOST_PAGES: Final = 1 << 17
"""Pages that all operations name together."""
MOST_TURNS: Final = 10_000
MOST_ACCESSES: Final = 200_000
"""Accesses of all turns together."""
SHAPE: Final = {
    "nr_pages": (1, 1 << 20), "nr_mms": (1, 1024), "nr_vpns": (1, 1 << 20), "nr_cpus": (1, 4), "max_order": (0, 15),
    "contents": (0, 1), "scratch": (0, 1 << 20),
}  # fmt: skip
"""The least and the most of each measure of the machine."""
FLAGS: Final = ("flush", "pmd", "batched", "shmem", "shared", "write")


def check(example: Counterexample) -> None:
    """Check a counterexample that comes from a file.

    Raises:
        UsageError: a law, claim, operation or thread does not exist, a number is out of range, or it is too large.
    """
    if example.law not in LAWS:
        raise UsageError(f"there is no law {intake.excerpt(example.law)}", f"laws are {', '.join(LAWS)}")
    if example.claim and example.claim not in CLAIMS:
        raise UsageError(f"there is no claim {intake.excerpt(example.claim)}", f"claims are {', '.join(CLAIMS)}")
    if (example.law == "expectation") != bool(example.scenario):
        raise UsageError("the law `expectation` and a scenario belong together", "`foliolab run` writes both")
    if example.scenario:
        parse(example.scenario, "its scenario")
    shape = _shape(example.shape)
    if not example.threads:
        raise UsageError("it has no thread", "the operations that break the law are those of a thread")
    if len(example.threads) > shape["nr_cpus"]:
        raise UsageError(
            f"{len(example.threads)} threads do not fit on {shape['nr_cpus']} processors", "each has one (nr_cpus)"
        )
    texts = [text for operations in (example.setup, *example.threads) for text in operations]
    most = MOST_OPERATIONS_OF_THREADS if len(example.threads) > 1 or example.schedule else MOST_OPERATIONS
    operations = [Operation.parse(text) for text in texts[: most + 1]]
    for operation in operations:
        _in_range(operation, shape)
    pages = sum(_pages(operation, shape) for operation in operations)
    if len(texts) > most or pages > MOST_PAGES or len(texts) * _nbytes(shape) > MOST_BYTES_READ:
        raise UsageError(
            f"{len(texts):,} operations on {pages:,} pages are too many", "playing them would take minutes"
        )
    if example.schedule.count(" ") > MOST_TURNS:
        raise UsageError(f"the schedule has more than {MOST_TURNS:,} turns", "make it shorter")
    if sum(turn.accesses for turn in example.turns) > MOST_ACCESSES:
        raise UsageError(f"the schedule has more than {MOST_ACCESSES:,} accesses", "make it shorter")


def _shape(given: Mapping[str, int]) -> dict[str, int]:
    """The machine's measures, the defaults included."""
    shape = {one.name: int(one.default) for one in fields(Shape) if isinstance(one.default, int)} | dict(given)
    for name, value in shape.items():
        if name not in SHAPE:
            raise UsageError(f"a machine has no {intake.excerpt(name)}", f"its shape has {', '.join(SHAPE)}")
        low, high = SHAPE[name]
        if not low <= value <= high:
            raise UsageError(f"{name} is {value}", f"a machine of a counterexample has {low:,} to {high:,}")
    if missing := SHAPE.keys() - shape.keys():
        raise UsageError(f"its machine lacks {min(missing)}", f"its shape has {', '.join(SHAPE)}")
    if _nbytes(shape) > MOST_BYTES:
        raise UsageError(
            f"its machine takes {_nbytes(shape) >> 20:,} MiB of memory", f"counterexamples take {MOST_BYTES >> 20} MiB"
        )
    return shape


def _nbytes(shape: Mapping[str, int]) -> int:
    """About as many bytes as the machine takes: at least a page for each processor and, twice, for each MM."""
    an_mm = 3 * PAGE_SIZE + PTE_SIZE * shape["nr_vpns"]
    contents = PAGE_SIZE * shape["nr_pages"] * shape["contents"]
    return (
        STRUCT_PAGE * shape["nr_pages"] + an_mm * shape["nr_mms"] + PAGE_SIZE * shape["nr_cpus"] + shape["scratch"]
        + contents
    )  # fmt: skip


def _pages(operation: Operation, shape: Mapping[str, int]) -> int:
    """The pages that an operation may touch one by one."""
    if operation.name == "fork" and not operation.has("nr"):
        return shape["nr_vpns"]
    return operation.get("nr", 1) if operation.start >= 0 else 1


def _in_range(operation: Operation, shape: Mapping[str, int]) -> None:
    """Refuse an argument that no machine of the shape has."""
    ends = {
        **dict.fromkeys(("mm", "parent", "child"), shape["nr_mms"]),
        **dict.fromkeys(("vpn", "start", "to"), shape["nr_vpns"]),
        **dict.fromkeys(FLAGS, 2),
        "pfn": shape["nr_pages"],
        "order": shape["max_order"] + 1,
        "nbytes": PAGE_SIZE + 1,
        "mm_id": intake.LARGEST,
    }
    for name, value in operation.arguments:
        if not 0 <= value < ends.get(name, 1 << 31):
            raise UsageError(f"operation {intake.excerpt(operation.text)}: there is no {name} {value}")
