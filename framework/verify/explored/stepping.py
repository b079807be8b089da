"""One step of one thread in a state; compiled, and part of every search.

A state is a row of 64-bit integers: the shared words; for each thread its node, with the flags SHARED_ALL_ALONG and
CLAIMED_ALL_ALONG above it; one column for the preemption bound; and the store buffers. A buffer holds pairs of location
and value, the oldest store first.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import nodes
from foliolab.framework.verify.explored import steps as s

NODE_MASK: Final = (1 << 40) - 1
SHARED_ALL_ALONG: Final = 1 << 40
"""Several MMs have mapped the folio at every moment since the query began."""
CLAIMED_ALL_ALONG: Final = 1 << 41
"""At every moment since the write fault began, another MM has mapped the folio, or another reference has been held."""
BLOCKED: Final = -1
"""The step cannot be done in this state."""
UNKNOWN: Final = -2
"""The node has no link for the step's result yet."""
OVERFLOW: Final = -3
"""The value does not fit the width of its field."""
(GIVEN, FIRST_FRAME, FRAMES, TABLES) = range(4)
"""The first elements of a search's `ctl`: the truth that the set-up leaves (`World.given`); the folio's first frame and
their number; and where the page tables of MMs that several threads use begin in `ctl` (see `mapped_by_several`)."""


def field_of(word: int, what: int) -> int:
    """The value in `word` of the field that a node's WHAT describes."""
    return s.fit(word >> (what >> nodes.SHIFT_AT & 0xFF), what >> nodes.BITS_AT & 0xFF, what >> nodes.SIGNED_AT & 1)


def put_field(word: int, what: int, value: int) -> int:
    """The word with a new value in that field."""
    bits = what >> nodes.BITS_AT & 0xFF
    if bits == 64:
        return value
    shift = what >> nodes.SHIFT_AT & 0xFF
    mask = ((1 << bits) - 1) << shift
    return (word & ~mask) | (value << shift & mask)


def is_changed(row: Any, at: int, waits: Any, start: int, count: int) -> bool:
    """Whether any of the values that a node waits for has changed."""
    for i in range(start, start + count):
        packed = waits[i, 2]
        value = s.fit(row[at, waits[i, 0]] >> waits[i, 1], packed & 0xFF, packed >> 8)
        if value != waits[i, 3]:
            return True
    return False


def where_of(what: int, column: int) -> int:
    """A location as a store buffer encodes it; never 0."""
    return column << 24 | (what >> nodes.SHIFT_AT & 0xFFFF) << 1 | (what >> nodes.SIGNED_AT & 1) | 1 << 60


def flush(row: Any, at: int, buffer: int, depth: int) -> bool:
    """Let the oldest store of a buffer take effect; return whether there was one."""
    location = row[at, buffer]
    if location == 0:
        return False
    location &= (1 << 60) - 1
    column = location >> 24
    what = (location >> 1 & 0xFFFF) << nodes.SHIFT_AT
    row[at, column] = put_field(row[at, column], what, row[at, buffer + 1])
    for i in range(buffer, buffer + 2 * depth - 2):
        row[at, i] = row[at, i + 2]
    row[at, buffer + 2 * depth - 2] = 0
    row[at, buffer + 2 * depth - 1] = 0
    return True


def own_store(row: Any, at: int, buffer: int, depth: int, what: int, column: int) -> int:
    """The column of the waiting store that a load of that field sees; 0 for none; BLOCKED if the widths differ."""
    wanted = where_of(what, column)
    shift, bits = what >> nodes.SHIFT_AT & 0xFF, what >> nodes.BITS_AT & 0xFF
    found = 0
    for i in range(depth):
        location = row[at, buffer + 2 * i]
        if location == 0:
            break
        if location >> 1 == wanted >> 1:
            found = buffer + 2 * i + 1
            continue
        if (location & ((1 << 60) - 1)) >> 24 == column:
            other_shift, other_bits = location >> 1 & 0xFF, location >> 9 & 0xFF
            if shift < other_shift + other_bits and other_shift < shift + bits:
                found = BLOCKED
    return found


def step_in_buffer(row: Any, at: int, buffer: int, depth: int, node: Any, n: int, out: Any) -> int:
    """A load or plain store through a store buffer; 0 or BLOCKED. The result goes into out[0]."""
    what, column = node[n, nodes.WHAT], node[n, nodes.COLUMN]
    step = what & 0xFF
    seen = own_store(row, at, buffer, depth, what, column)
    if seen == BLOCKED:
        return BLOCKED
    old = row[at, seen] if seen > 0 else field_of(row[at, column], what)
    out[0] = s.answered(step, old, old)
    if step in (s.STORE, s.AND_STORE):
        free = 0
        while free < depth and row[at, buffer + 2 * free] != 0:
            free += 1
        if free == depth:
            return BLOCKED  # until a store takes effect
        new = s.changed(step, old, node[n, nodes.OPERAND], node[n, nodes.OTHER])
        row[at, buffer + 2 * free] = where_of(what, column)
        row[at, buffer + 2 * free + 1] = s.fit(new, what >> nodes.BITS_AT & 0xFF, what >> nodes.SIGNED_AT & 1)
    return 0


def step_in_memory(row: Any, at: int, node: Any, n: int, out: Any) -> int:
    """An access that takes effect at once; 0, BLOCKED or OVERFLOW. The result goes into out[0]."""
    what, column = node[n, nodes.WHAT], node[n, nodes.COLUMN]
    step = what & 0xFF
    word = row[at, column]
    old = field_of(word, what)
    if step in (s.LOCK, s.WAIT_CLEAR) and old != 0:
        return BLOCKED
    wanted = s.changed(step, old, node[n, nodes.OPERAND], node[n, nodes.OTHER])
    new = s.fit(wanted, what >> nodes.BITS_AT & 0xFF, what >> nodes.SIGNED_AT & 1)
    if new != wanted and what >> nodes.WRAPS_AT & 1 == 0:
        return OVERFLOW
    if new != old:
        row[at, column] = put_field(word, what, new)
    out[0] = s.answered(step, old, new)
    return 0


def do_access(row: Any, at: int, buffer: int, depth: int, node: Any, n: int, out: Any) -> int:
    """An access, through the store buffer if there is one; see `do_step`."""
    step = node[n, nodes.WHAT] & 0xFF
    if depth == 0:
        return step_in_memory(row, at, node, n, out)
    if step in (s.LOAD, s.STORE, s.AND_STORE, s.WAIT_CLEAR):
        if step == s.WAIT_CLEAR and field_of(row[at, node[n, nodes.COLUMN]], node[n, nodes.WHAT]) != 0:
            return BLOCKED
        return step_in_buffer(row, at, buffer, depth, node, n, out)
    if row[at, buffer] != 0:
        return BLOCKED  # a locked operation waits for the buffer
    return step_in_memory(row, at, node, n, out)


def do_step(row: Any, at: int, buffer: int, depth: int, node: Any, waits: Any, n: int, out: Any) -> int:
    """Do the step of node `n` in the state in row `at`.

    Args:
        buffer: the first column of the thread's store buffer.
        depth: the capacity of the store buffer; 0: stores take effect at once.
        out: the result goes into out[0].

    Returns:
        0, BLOCKED or OVERFLOW.
    """
    step = node[n, nodes.WHAT] & 0xFF
    out[0] = 0
    could = 0
    if step < s.RELAX:
        could = do_access(row, at, buffer, depth, node, n, out)
    elif step == s.RELAX:
        could = 0 if is_changed(row, at, waits, node[n, nodes.WAIT_START], node[n, nodes.WAIT_COUNT]) else BLOCKED
    elif step == s.DONE or (step == s.BARRIER and depth > 0 and row[at, buffer] != 0):
        could = BLOCKED
    return could


def find_link(node: Any, links: Any, n: int, answer: int) -> int:
    """The link of a node for a result; UNKNOWN if there is none yet."""
    link: int = node[n, nodes.FIRST_LINK]
    while link >= 0:
        if links[link, nodes.VALUE] == answer:
            return link
        link = links[link, nodes.NEXT_LINK]
    return UNKNOWN


def mapped_by_several(row: Any, at: int, ctl: Any) -> int:
    """What MMs map that several threads use, as a packed truth: their PTEs are in the state itself.

    Args:
        ctl: for each of these MMs, the number of its PTEs in a state, the number of its other mappings, and the columns
            of those PTEs.
    """
    found = 0
    i = ctl[TABLES]
    while i < ctl.size:
        mapped = ctl[i + 1]
        for j in range(i + 2, i + 2 + ctl[i]):
            entry = row[at, ctl[j]]
            frame = entry >> 12 & (1 << 40) - 1
            if entry & 1 and ctl[FIRST_FRAME] <= frame and frame < ctl[FIRST_FRAME] + ctl[FRAMES]:
                mapped += 1
        found += (1 if mapped > 0 else 0) + (mapped << nodes.MAPPINGS_AT)
        i += 2 + ctl[i]
    return found


def truth_of(row: Any, at: int, words: int, threads: int, node: Any, ctl: Any) -> int:
    """The number of MMs that map the folio in a state, and of held references and mappings, packed as in `nodes`."""
    total: int = ctl[GIVEN]
    for t in range(words, words + threads):
        total += node[row[at, t] & NODE_MASK, nodes.TRUTH]
    if ctl.size > ctl[TABLES]:
        total += mapped_by_several(row, at, ctl)
    return total


def mappers_of(truth: int) -> int:
    """The number of MMs in a packed truth."""
    return truth & ((1 << nodes.HELD_AT) - 1)


def is_claimed(row: Any, at: int, truth: int, count: int) -> bool:
    """Whether several MMs map the folio, or there are references besides the mappings.

    Args:
        truth: see `truth_of`.
        count: the column of the folio's reference count and, packed below, its first bit; below 0 if it has no column:
            then only references that are held for certain are known.
    """
    if mappers_of(truth) > 1 or truth >> nodes.HELD_AT & ((1 << nodes.MAPPINGS_AT - nodes.HELD_AT) - 1) > 0:
        return True
    return count >= 0 and row[at, count >> 8] >> (count & 0xFF) & 0xFFFFFFFF > truth >> nodes.MAPPINGS_AT


def move(
    row: Any, at: int, words: int, threads: int, own: int, node: Any, links: Any, link: int, ctl: Any, count: int
) -> None:  # fmt: skip
    """Move a thread to the next node of a link, and update the flags of all open queries and write faults.

    Args:
        own: the thread's column.
        ctl: of the search.
        count: see `is_claimed`.
    """
    before = row[at, own]
    asked = node[before & NODE_MASK, nodes.WHAT] >> nodes.ASKS_AT & 1
    child = links[link, nodes.CHILD]
    row[at, own] = child
    truth = truth_of(row, at, words, threads, node, ctl)
    now = 0
    if mappers_of(truth) > 1:
        now |= SHARED_ALL_ALONG
    if is_claimed(row, at, truth, count):
        now |= CLAIMED_ALL_ALONG
    for t in range(words, words + threads):
        one = row[at, t]
        what = node[one & NODE_MASK, nodes.WHAT]
        kept = now if what >> nodes.WRITES_AT & 1 else now & SHARED_ALL_ALONG
        if what >> nodes.ASKS_AT & 1 == 0:
            row[at, t] = one & NODE_MASK
        elif t != own:
            row[at, t] = one & (kept | NODE_MASK)
        elif asked == 0:
            row[at, t] = child | kept
        else:
            row[at, t] = child | (before & kept & ~NODE_MASK)
