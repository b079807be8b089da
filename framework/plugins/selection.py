"""Parse what users write on a command line: lists of names, folio sizes, amounts of memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from foliolab.framework import intake
from foliolab.framework.csource.name import TREE, policy_name
from foliolab.framework.errors import UsageError
from foliolab.framework.machine.layout import PMD_ORDER

PAGE: Final = 4096
ANON_ORDERS: Final = (0, *range(2, PMD_ORDER + 1))
UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
MOST: Final = (1 << 31) - 1
"""The largest number of a range."""
LONGEST: Final = 100
"""A longer name is compared with others up to here: the time grows with the square."""
_AMOUNT: Final = re.compile(r"([0-9]{1,18})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)


def split(texts: Iterable[str]) -> list[str]:
    """The items of texts, which are separated by commas."""
    return [item.strip() for text in texts for item in text.split(",") if item.strip()]


def file_and_policy(text: str) -> tuple[str, str]:
    """The plugin file and the rest of a policy written as FILE.py::NAME, FILE.c or tree:PATH; else "" and the text.

    Raises:
        UsageError: there is no such file, or no name behind it.
    """
    if text.startswith(TREE):
        from foliolab.framework.csource.tree import Tree  # not above: few commands name a tree

        tree = Tree.parse(text)
        return str(tree), tree.name
    file, colons, name = text.rpartition("::")
    if not colons and text.endswith(".c"):
        file, name = text, policy_name(Path(text))
    elif not colons:
        return "", text
    if not file.endswith((".py", ".c")) or not name:
        raise UsageError(f"{text!r} is not a policy of a file", "write FILE.py::NAME or FILE.c")
    if not Path(file).expanduser().is_file():
        raise UsageError(f"{text}: there is no plugin file {file}", "name an existing file")
    return file, name


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint with the known names nearest to a name; without a near one, `otherwise` and all names."""
    names = list(known)
    close = get_close_matches(name[:LONGEST].lower(), names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"{otherwise} {', '.join(names) or 'none'}"


def size_text(nbytes: int) -> str:
    """A number of bytes in the largest unit that leaves it whole, as `parse_memory` reads it."""
    for unit in ("T", "G", "M", "K"):
        if nbytes and nbytes % UNITS[unit.lower()] == 0:
            return f"{nbytes // UNITS[unit.lower()]}{unit}"
    return f"{nbytes}"


def _amount(text: str, what: str, example: str) -> int:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{intake.excerpt(text)} is not {what}", f"write it like {example}")
    return int(match[1]) * UNITS[match[2].lower()]


def parse_sizes(texts: Iterable[str] | str, allowed: Iterable[int] = ANON_ORDERS) -> list[int]:
    """The orders of folio sizes such as `4K,16K,2M`, in ascending order; `all` is every allowed one.

    Args:
        allowed: the orders to choose from.

    Raises:
        UsageError: a text is not a size, not a power of two, or not allowed; the hint names the nearest sizes.
    """
    orders = sorted(set(allowed))
    found: set[int] = set()
    for text in split([texts] if isinstance(texts, str) else texts):
        found |= set(orders) if text == "all" else {_order(text, orders)}
    if not found:
        raise UsageError("no folio size is named", f"sizes are {_sizes(orders)}")
    return sorted(found)


def _sizes(orders: Iterable[int]) -> str:
    return ", ".join(size_text(PAGE << order) for order in orders)


def _order(text: str, orders: list[int]) -> int:
    if (number := intake.number(text)) is not None and 0 <= number < PAGE:
        raise UsageError(f"folio size {text!r} has no unit", f"write {text}K or {text}M; sizes are {_sizes(orders)}")
    nbytes = _amount(text, "a folio size", "64K or 2M")
    order = nbytes.bit_length() - PAGE.bit_length()
    if order in orders and nbytes == PAGE << order:
        return order
    close = sorted(sorted(orders, key=lambda o: abs((PAGE << o) - nbytes))[:2])
    hint = f"nearest: {_sizes(close)}; sizes are {_sizes(orders)}"
    if nbytes == 2 * PAGE:
        raise UsageError(f"folio size {text}: there are no anonymous folios of order 1", hint)
    if nbytes & (nbytes - 1) or nbytes < PAGE:
        raise UsageError(f"folio size {text} is not a power of two of 4K and more", hint)
    if orders and nbytes > PAGE << orders[-1]:
        raise UsageError(f"folio size {text} is too large: the largest is {size_text(PAGE << orders[-1])}", hint)
    raise UsageError(f"folio size {text} cannot be chosen", hint)


def parse_ranges(text: str, what: str, example: str) -> list[range]:
    """Numbers and ranges of them, such as `0,2-4,9`: a range each.

    Args:
        what: what each number means, with its article, for messages.
        example: a valid text, for messages.

    Raises:
        UsageError: the text is not of this form, or names no number.
    """
    found = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low, high = intake.number(first), intake.number(last if dash else first)
        if low is None or high is None or not 0 <= low <= MOST or not 0 <= high <= MOST:
            raise UsageError(f"{intake.excerpt(part)} is not {what}", f"write it like {example}")
        found.append(range(low, high + 1))
    if not any(found):
        raise UsageError(f"{intake.excerpt(text)} names no number", f"write it like {example}")
    return found


def parse_memory(text: str) -> int:
    """The bytes of an amount of memory such as `1G` or `64M`.

    Raises:
        UsageError: the text is not an amount, has no unit, or is not a whole number of pages.
    """
    if (number := intake.number(text.strip())) is not None and 0 <= number < 1 << 20:
        raise UsageError(f"memory {text!r} has no unit", f"write {text.strip()}M or {text.strip()}G")
    nbytes = _amount(text, "an amount of memory", "1G or 64M")
    if nbytes > intake.LARGEST:
        raise UsageError(f"memory {intake.excerpt(text)} is more than a machine can have", "write it like 1G or 64M")
    if not nbytes or nbytes % PAGE:
        raise UsageError(f"memory {text!r} is not a whole number of 4K pages", "write it like 1G or 64M")
    return nbytes
