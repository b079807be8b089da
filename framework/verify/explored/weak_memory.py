"""One step of one thread under Armv8's memory model; compiled, and part of every search that has a log of writes.

Stores and additions reach memory at one moment for all other threads (Armv8 is multi-copy atomic). So memory is as in
`stepping`, and a load that is done early is one that reads what memory held at an earlier moment. The state therefore
has a log for each thread: the latest writes of other threads, the oldest first. An entry holds what the write replaced,
and whether the thread may still read that (UNSEEN), because nothing has ordered it behind the write yet.

A store that later stores overtake waits in the thread's buffer until one of them has; a store that nothing overtakes
is done at once, since later loads may be early anyway. What no thread does is a load behind a later store.

The rules are those of Pulte, Flur, Deacon, French, Sarkar, Sewell, "Simplifying ARM concurrency" (POPL 2018), for the
kernel's primitives and without the order of a release before a later acquire, which LDAPR does not have either.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import nodes, stepping
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.write_logs import (
    COLUMN_AT,
    MARK,
    OWN,
    PASSED,
    UNSEEN,
    field_at,
    last_write,
    log_of,
    log_start,
    mask_of,
    see,
    see_passed,
    seen_by_all,
    settle,
    touches,
    write,
)

OVERTAKEN: Final = 1 << 41
"""In the first number of a waiting store: a later store of its thread has taken effect."""
RELEASES: Final = 1 << 42
"""In the same: it takes effect behind all that precede it."""
PLACE_AT: Final = 43
"""In the same, from here on: the shift, width, sign and wrapping of the value in its word, and the step."""
SHIFT_BITS, VALUE_BITS, STEP_BITS = 0x3F, 0x7F, 0x1F
VALUE_AT, SIGN_AT, WRAP_AT, STEP_AT = PLACE_AT + 6, PLACE_AT + 13, PLACE_AT + 14, PLACE_AT + 15
NEWEST: Final = -1
"""The choice of the newest value, whatever other values a load may read."""


def turns(width: int, words: int, threads: int, depth: int) -> int:
    """The number of turns of a state: each thread's step, then its waiting stores, then its other choices."""
    if depth == 0:
        return threads
    entries = (width - log_start(words, threads, depth)) // (2 * threads)
    return 2 * threads if entries == 0 else threads * (1 + depth + entries)


def turn_of(thread: int, choice: int, shape: tuple[int, int, int, int]) -> int:
    """The turn of a choice of a thread's step. `shape`: see `breadth_first.successor`."""
    _, threads, depth, _ = shape
    return thread + threads * (depth + choice) if choice > 0 else thread


# -- waiting stores --------------------------------------------------------------------------------------
def waiting(row: Any, at: int, buffer: int, depth: int, field: int) -> int:
    """The column of the last waiting store that touches a field; 0 for none."""
    found = 0
    for i in range(buffer, buffer + 2 * depth, 2):
        if row[at, i] != 0 and touches(row[at, i], field):
            found = i
    return found


def overtake(row: Any, at: int, buffer: int, end: int) -> None:
    """Note that a later store than those before column `end` has taken effect."""
    for i in range(buffer, end, 2):
        if row[at, i] != 0:
            row[at, i] |= OVERTAKEN


def is_vain(row: Any, at: int, words: int, threads: int, depth: int) -> bool:
    """Whether a store waits that none has overtaken: then the same happens where it did not wait."""
    if row.shape[1] == log_start(words, threads, depth):
        return False
    for i in range(words + threads + 1, log_start(words, threads, depth), 2):
        if row[at, i] != 0 and row[at, i] & OVERTAKEN == 0:
            return True
    return False


def entry_of(node: Any, n: int) -> int:
    """The first number of the store of node `n` while it waits. What it stores is the second one."""
    what = node[n, nodes.WHAT]
    step = what & 0xFF
    if step == s.AND_STORE:
        step = s.STORE
    place: int = (what >> nodes.SHIFT_AT & SHIFT_BITS) << PLACE_AT | (what >> nodes.BITS_AT & VALUE_BITS) << VALUE_AT
    place |= (what >> nodes.SIGNED_AT & 1) << SIGN_AT | (what >> nodes.WRAPS_AT & 1) << WRAP_AT | step << STEP_AT
    if what >> nodes.RELEASE_AT & 1:
        place |= RELEASES
    return place | stored_field(node, n)


def stored_field(node: Any, n: int) -> int:
    """The field that the store of node `n` replaces, with OWN if its value depends on no load."""
    fresh = OWN if node[n, nodes.WHAT] >> nodes.FRESH_AT & 1 else 0
    return field_at(node[n, nodes.COLUMN], node[n, nodes.REACH]) | fresh


def what_of(entry: int) -> int:
    """The part of WHAT that places the value of a waiting store in its word."""
    what = (entry >> PLACE_AT & SHIFT_BITS) << nodes.SHIFT_AT | (entry >> VALUE_AT & VALUE_BITS) << nodes.BITS_AT
    return what | (entry >> SIGN_AT & 1) << nodes.SIGNED_AT | (entry >> WRAP_AT & 1) << nodes.WRAPS_AT


def flush(
    row: Any, at: int, words: int, threads: int, depth: int, node: Any, masks: Any, thread: int, slot: int
) -> int:
    """Let a waiting store of a thread take effect; 0, BLOCKED or OVERFLOW."""
    buffer = words + threads + 1 + 2 * depth * thread
    place = buffer + 2 * slot
    entry = row[at, place]
    if entry & OVERTAKEN == 0 or (entry & RELEASES and slot > 0):
        return stepping.BLOCKED
    for i in range(buffer, place, 2):
        if touches(row[at, i], entry):
            return stepping.BLOCKED
    what = what_of(entry)
    word = row[at, entry >> COLUMN_AT & 0xFFFF]
    wanted = s.changed(entry >> STEP_AT & STEP_BITS, stepping.field_of(word, what), row[at, place + 1], 0)
    new = s.fit(wanted, what >> nodes.BITS_AT & 0xFF, what >> nodes.SIGNED_AT & 1)
    if new != wanted and what >> nodes.WRAPS_AT & 1 == 0:
        return stepping.OVERFLOW
    field = entry & (2 * MARK - 1)
    for i in range(place, buffer + 2 * depth - 2):
        row[at, i] = row[at, i + 2]
    row[at, buffer + 2 * depth - 2], row[at, buffer + 2 * depth - 1] = 0, 0
    overtake(row, at, buffer, place)
    write(row, at, words, threads, depth, node, masks, thread, field, stepping.put_field(word, what, new))
    return 0


def store(
    row: Any, at: int, words: int, threads: int, depth: int, node: Any, masks: Any, n: int, thread: int, waits: int
) -> int:
    """A store, or an addition without a result: at once, or into the buffer; 0, BLOCKED or OVERFLOW."""
    what, column, operand = node[n, nodes.WHAT], node[n, nodes.COLUMN], node[n, nodes.OPERAND]
    step = what & 0xFF
    buffer = words + threads + 1 + 2 * depth * thread
    field = stored_field(node, n)
    word = row[at, column]
    before = waiting(row, at, buffer, depth, field)
    if step == s.AND_STORE and before:
        return stepping.BLOCKED
    if waits:
        free = buffer
        while free < buffer + 2 * depth and row[at, free] != 0:
            free += 2
        if free == buffer + 2 * depth:
            return stepping.BLOCKED
        row[at, free], row[at, free + 1] = entry_of(node, n), operand
        if step == s.AND_STORE:
            row[at, free + 1] = stepping.field_of(word, what) & operand
        return 0
    if before or (what >> nodes.RELEASE_AT & 1 and row[at, buffer] != 0):
        return stepping.BLOCKED
    old = stepping.field_of(word, what)
    wanted = s.changed(step, old, operand, node[n, nodes.OTHER])
    new = s.fit(wanted, what >> nodes.BITS_AT & 0xFF, what >> nodes.SIGNED_AT & 1)
    if new != wanted and what >> nodes.WRAPS_AT & 1 == 0:
        return stepping.OVERFLOW
    overtake(row, at, buffer, buffer + 2 * depth)
    write(row, at, words, threads, depth, node, masks, thread, field, stepping.put_field(word, what, new))
    return 0


# -- loads -----------------------------------------------------------------------------------------------
def behind(row: Any, at: int, start: int, end: int, field: int, node: Any, waits: Any, n: int) -> int:
    """The last write that a load of a field cannot be earlier than; 0 for none.

    It is the last one to the field that the thread is behind, or to a field whose value gave the address (`waits`).
    """
    found = last_write(row, at, start, end, field, UNSEEN)
    first = node[n, nodes.WAIT_START]
    for i in range(first, first + node[n, nodes.WAIT_COUNT]):
        found = max(found, last_write(row, at, start, end, field_at(waits[i, 0], waits[i, 1]), UNSEEN))
    return found


def is_kept(node: Any, n: int, value: int) -> bool:
    """Whether node `n` can do with an old value: a load with any, an attempt or a wait with one that it writes nothing
    for.
    """
    step = node[n, nodes.WHAT] & 0xFF
    if step == s.CMPXCHG:
        return bool(value != node[n, nodes.OPERAND])
    return bool(step == s.LOAD or (step == s.XCHG and value != 0) or (step == s.WAIT_CLEAR and value == 0))


def load(  # noqa: PLR0913  (native code takes arrays one by one)
    row: Any, at: int, words: int, threads: int, depth: int, node: Any, waits: Any, n: int, thread: int, choice: int,
    out: Any,
) -> int:  # fmt: skip
    """A load, an attempt that fails, or a wait that ends; 0 or BLOCKED. The result goes into out[0].

    Args:
        choice: how many writes to the field the load ignores, or NEWEST. Of choices with an equal result only the
            earliest is taken: it orders least.
    """
    what, column = node[n, nodes.WHAT], node[n, nodes.COLUMN]
    buffer, start = words + threads + 1 + 2 * depth * thread, log_of(row.shape[1], words, threads, depth, thread)
    stop = log_of(row.shape[1], words, threads, depth, thread + 1)
    field = field_at(column, node[n, nodes.REACH])
    floor = behind(row, at, start, stop, field, node, waits, n)
    acquires = what & 0xFF == s.LOAD and what >> nodes.ACQUIRE_AT & 1 != 0
    before = waiting(row, at, buffer, depth, field)
    if before:
        if choice > 0 or not is_forwarded(row[at, before], what):
            return stepping.BLOCKED
        own = stepping.put_field(0, what_of(row[at, before]), row[at, before + 1])
        value = stepping.field_of(own, what)
        end = start
    else:
        word, end, back = row[at, column], stop, 0
        for i in range(stop - 2, max(floor, start - 2), -2):
            if row[at, i] != 0 and touches(row[at, i], field) and back < choice:
                word = word & ~mask_of(row[at, i]) | row[at, i + 1]
                end, back = i, back + 1
        value = stepping.field_of(word, what)
        if back < choice or (choice != NEWEST and is_earlier(row, at, floor, start, end, field, word, what)):
            return stepping.BLOCKED
    if not is_kept(node, n, value):
        return stepping.BLOCKED
    out[0] = result_of(what, value)
    if acquires and floor:
        see(row, at, start, floor + 2, 0)
    take(row, at, start, end, stop, field, acquires)
    return 0


def result_of(what: int, value: int) -> int:
    """What the text sees of a value: a wait has no result."""
    return 0 if what & 0xFF == s.WAIT_CLEAR else value


def is_forwarded(entry: int, what: int) -> bool:
    """Whether a load can take its value from a waiting store: a plain one that contains the field."""
    first, bits = entry >> PLACE_AT & SHIFT_BITS, entry >> VALUE_AT & VALUE_BITS
    shift = what >> nodes.SHIFT_AT & 0xFF
    within = first <= shift and shift + (what >> nodes.BITS_AT & 0xFF) <= first + bits
    return within and entry >> STEP_AT & STEP_BITS == s.STORE


def is_earlier(row: Any, at: int, floor: int, start: int, end: int, field: int, word: int, what: int) -> bool:
    """Whether a load that ignores more writes than those from column `end` on finds the same value."""
    value = stepping.field_of(word, what)
    for i in range(end - 2, max(floor, start - 2), -2):
        if row[at, i] != 0 and touches(row[at, i], field):
            word = word & ~mask_of(row[at, i]) | row[at, i + 1]
            if stepping.field_of(word, what) == value:
                return True
    return False


def take(row: Any, at: int, start: int, end: int, stop: int, field: int, acquires: bool) -> None:
    """What a load orders that reads what the last write to its field before column `end` of a log has left.

    Nothing, if the thread has replaced that by a store of its own, and reads this.

    Args:
        start, stop: where the log begins and ends.
    """
    made = last_write(row, at, start, end, field, OWN)
    if made:
        see(row, at, start, made + 2, 0 if acquires else field)
        for i in range(start, made, 2):
            if row[at, i] & UNSEEN:
                row[at, i] |= PASSED
    settle(row, at, start, stop)


# -- all steps -------------------------------------------------------------------------------------------
def update(
    row: Any, at: int, words: int, threads: int, depth: int, node: Any, masks: Any, n: int, thread: int, out: Any
) -> int:  # fmt: skip
    """An access that reads the newest value and may replace it; 0, BLOCKED or OVERFLOW. The result goes into out[0].

    A lock acquires. What has a result and is no lock is a full barrier. What fails is a `load`.
    """
    what, column = node[n, nodes.WHAT], node[n, nodes.COLUMN]
    step, acquires = what & 0xFF, what >> nodes.ACQUIRE_AT & 1 != 0
    buffer, start = words + threads + 1 + 2 * depth * thread, log_of(row.shape[1], words, threads, depth, thread)
    stop = log_of(row.shape[1], words, threads, depth, thread + 1)
    field = field_at(column, node[n, nodes.REACH])
    if waiting(row, at, buffer, depth, field):
        return stepping.BLOCKED
    old = stepping.field_of(row[at, column], what)
    if step == s.WAIT_CLEAR or (acquires and old != 0) or (step == s.CMPXCHG and old != node[n, nodes.OPERAND]):
        return stepping.BLOCKED
    wanted = s.changed(step, old, node[n, nodes.OPERAND], node[n, nodes.OTHER])
    new = s.fit(wanted, what >> nodes.BITS_AT & 0xFF, what >> nodes.SIGNED_AT & 1)
    if new != wanted and what >> nodes.WRAPS_AT & 1 == 0:
        return stepping.OVERFLOW
    out[0] = s.answered(step, old, new)
    if not acquires:
        if row[at, buffer] != 0:
            return stepping.BLOCKED
        see(row, at, start, stop, 0)
    take(row, at, start, stop, stop, field, acquires)
    overtake(row, at, buffer, buffer + 2 * depth)
    write(row, at, words, threads, depth, node, masks, thread, field, stepping.put_field(row[at, column], what, new))
    return 0


def order(row: Any, at: int, buffer: int, start: int, stop: int, kind: int) -> int:
    """A barrier; 0 or BLOCKED.

    Args:
        buffer: the first column of the thread's store buffer.
        start, stop: where its log begins and ends.
        kind: see `steps.DRAINS`.
    """
    if kind & s.DRAINS and row[at, buffer] != 0:
        return stepping.BLOCKED
    if kind & s.ORDERS_ALL:
        see(row, at, start, stop, 0)
    elif kind & s.ORDERS_LOADS:
        see_passed(row, at, start, stop)
    settle(row, at, start, stop)
    return 0


def relax(row: Any, at: int, start: int, stop: int, node: Any, waits: Any, n: int) -> int:
    """`cpu_relax` in a loop: what has changed is seen in the next round; 0, or BLOCKED while nothing has."""
    first, count = node[n, nodes.WAIT_START], node[n, nodes.WAIT_COUNT]
    if not stepping.is_changed(row, at, waits, first, count):
        return stepping.BLOCKED
    for i in range(first, first + count):
        see(row, at, start, stop, field_at(waits[i, 0], waits[i, 1] | (waits[i, 2] & 0xFF) << 8))
    settle(row, at, start, stop)
    return 0


def do_step(  # noqa: PLR0913  (native code takes arrays one by one)
    row: Any, at: int, words: int, threads: int, depth: int, node: Any, waits: Any, masks: Any, n: int, thread: int,
    choice: int, out: Any,
) -> int:  # fmt: skip
    """Do the step of node `n` of a thread in the state in row `at`; 0, BLOCKED or OVERFLOW. See `stepping.do_step`.

    Args:
        choice: see `load`; of a store 1 lets it wait. All other steps have choice 0, or NEWEST, only.
    """
    what = node[n, nodes.WHAT]
    step, reach = what & 0xFF, node[n, nodes.REACH]
    buffer, start = words + threads + 1 + 2 * depth * thread, log_of(row.shape[1], words, threads, depth, thread)
    stop = log_of(row.shape[1], words, threads, depth, thread + 1)
    out[0] = 0
    could = stepping.BLOCKED
    if (what >> nodes.BETWEEN_AT & 1 and row[at, buffer] != 0) or step == s.DONE:
        could = stepping.BLOCKED
    elif is_early(what) and reach:
        could = load(row, at, words, threads, depth, node, waits, n, thread, choice, out)
        if could == stepping.BLOCKED and choice <= 0 and step != s.LOAD:
            could = update(row, at, words, threads, depth, node, masks, n, thread, out)
    elif step in (s.STORE, s.AND_STORE, s.LOCKED_STORE, s.ADD) and reach:
        if choice < 2:
            could = store(row, at, words, threads, depth, node, masks, n, thread, max(choice, 0))
    elif choice <= 0 and step < s.RELAX and reach:
        could = update(row, at, words, threads, depth, node, masks, n, thread, out)
    elif choice <= 0 and step == s.RELAX:
        could = relax(row, at, start, stop, node, waits, n)
    elif choice <= 0:
        could = in_order(row, at, words, threads, depth, node, n, thread, out)
    return could


def in_order(row: Any, at: int, words: int, threads: int, depth: int, node: Any, n: int, thread: int, out: Any) -> int:
    """A barrier; or an access of the engine itself, or one that no schedule counts: these are full barriers."""
    what, kind = node[n, nodes.WHAT], s.DRAINS | s.ORDERS_ALL
    step = what & 0xFF
    buffer, start = words + threads + 1 + 2 * depth * thread, log_of(row.shape[1], words, threads, depth, thread)
    stop = log_of(row.shape[1], words, threads, depth, thread + 1)
    if step == s.BARRIER:
        kind = node[n, nodes.OPERAND]
    if step == s.MARK:
        return 0
    if order(row, at, buffer, start, stop, kind) != 0:
        return stepping.BLOCKED
    if step == s.BARRIER:
        return 0
    if step not in (s.LOAD, s.WAIT_CLEAR):
        seen_by_all(row, at, words, threads, depth, field_at(node[n, nodes.COLUMN], what >> nodes.SHIFT_AT & 0xFFFF))
    return stepping.step_in_memory(row, at, node, n, out)


def is_early(what: int) -> bool:
    """Whether a step may read an older value: a load, an attempt that fails, a wait that ends."""
    step = what & 0xFF
    return step in (s.LOAD, s.CMPXCHG, s.WAIT_CLEAR) or (step == s.XCHG and what >> nodes.ACQUIRE_AT & 1 != 0)


def is_step(turn: int, threads: int, depth: int) -> bool:
    """Whether a turn is a step of a thread; the others are of waiting stores."""
    return turn < threads or turn >= threads * (1 + depth)


def choice_of(row: Any, at: int, words: int, threads: int, depth: int, node: Any, turn: int) -> int:
    """The choice of a step that a turn is (see `do_step`), 0 for other turns; BLOCKED if the turn is impossible."""
    start = log_start(words, threads, depth)
    if turn < threads or row.shape[1] == start:
        return 0
    thread, kind = turn % threads, turn // threads
    if kind <= depth:
        waits = row[at, words + threads + 1 + 2 * depth * thread + 2 * (kind - 1)] & OVERTAKEN != 0
        return 0 if waits else stepping.BLOCKED
    n, choice = row[at, words + thread] & stepping.NODE_MASK, kind - depth
    step = node[n, nodes.WHAT] & 0xFF
    possible = choice == 1 and step in (s.STORE, s.AND_STORE, s.LOCKED_STORE, s.ADD)
    if is_early(node[n, nodes.WHAT]):
        possible = row[at, log_of(row.shape[1], words, threads, depth, thread) + 2 * (choice - 1)] != 0
    return choice if possible and node[n, nodes.REACH] != 0 else stepping.BLOCKED
