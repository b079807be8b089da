"""Sharing patterns: how programs start to share memory by fork or by a file, and how they stop.

The numbers of rounds, the shares of written pages and the lifetimes of processes are chosen, not measured: the
patterns distinguish policies, and recordings (`foliolab record`) show what real programs do. A process that "lives
long" in a summary lives for `LONG` steps; a step is one fault, write, fork, unmap or exit.
"""

from __future__ import annotations

from foliolab.framework.api import Processes, SharingPattern, Usage

ROUNDS = 16
LONG = 500
RUN = 16
"""The most pages that are written or unmapped at a time; also the pages of a fault-around."""

SPEC = "specification 2.3 and 2.6 (two slots; 20250303163014.1128035-1-david@redhat.com)"


def _run_in(processes: Processes, pages: int) -> tuple[int, int]:
    """A random run within that many pages: (first page, pages)."""
    nr = processes.random.randint(1, min(pages, RUN))
    return processes.random.randint(0, pages - nr), nr


def _run_of(processes: Processes, usage: Usage, folio: int) -> tuple[int, int]:
    """A random run of pages in a folio: (first page, pages)."""
    first, nr = _run_in(processes, usage.folio_pages)
    return folio * usage.folio_pages + first, nr


def _write_some(processes: Processes, usage: Usage, process: int, share: float) -> None:
    """Write to a run of pages in each folio with that probability."""
    for folio in range(usage.folios):
        if processes.random.random() < share:
            processes.write(process, *_run_of(processes, usage, folio))


def snapshot(processes: Processes, usage: Usage) -> None:
    """A parent forks children, which only read and exit in the order of their forks; the parent writes all the time."""
    parent = processes.start()
    for _ in range(ROUNDS):
        processes.populate(parent, 0, usage.nr_pages)
        children = []
        for _ in range(usage.mms - 1):
            children.append(processes.fork(parent))
            _write_some(processes, usage, parent, 0.05)
        for child in children:
            processes.exit(child)
            _write_some(processes, usage, parent, 0.05)
        processes.wait(LONG)
        _write_some(processes, usage, parent, 0.5)
        processes.unmap(parent, 0, usage.nr_pages)
    processes.exit(parent)


def worker_pool(processes: Processes, usage: Usage) -> None:
    """A parent keeps forked workers that write a little; now and then one exits and is replaced."""
    random = processes.random
    parent = processes.start()
    for _ in range(ROUNDS):
        processes.populate(parent, 0, usage.nr_pages)
        workers = [processes.fork(parent) for _ in range(usage.mms - 1)]
        for _ in range(4 * len(workers)):
            at = random.randrange(len(workers))
            _write_some(processes, usage, workers[at], 0.1)
            processes.wait(LONG // 10)
            if random.random() < 0.3:
                processes.exit(workers[at])
                workers[at] = processes.fork(parent)
        random.shuffle(workers)
        for worker in workers:
            processes.exit(worker)
        _write_some(processes, usage, parent, 0.3)
        processes.wait(LONG)
        processes.unmap(parent, 0, usage.nr_pages)
    processes.exit(parent)


def daemons(processes: Processes, usage: Usage) -> None:
    """Processes fork processes; all but a random one exit, which then lives long, alone, and writes."""
    random = processes.random
    for _ in range(ROUNDS):
        alive = [processes.start()]
        processes.populate(alive[0], 0, usage.nr_pages)
        while len(alive) < usage.mms:
            alive.append(processes.fork(random.choice(alive)))
            _write_some(processes, usage, random.choice(alive), 0.05)
        random.shuffle(alive)
        survivor = alive.pop()
        for process in alive:
            processes.exit(process)
        for _ in range(4):
            processes.wait(LONG // 4)
            _write_some(processes, usage, survivor, 0.1)
        processes.exit(survivor)


def allocator(processes: Processes, usage: Usage) -> None:
    """Forked processes give runs of pages back and fault in small ones; one after the other exits."""
    random = processes.random
    for _ in range(ROUNDS):
        alive = [processes.start()]
        processes.populate(alive[0], 0, usage.nr_pages)
        while len(alive) < usage.mms:
            alive.append(processes.fork(alive[0]))
        while alive:
            for _ in range(usage.folios // 2):
                process = random.choice(alive)
                page, nr = _run_of(processes, usage, random.randrange(usage.folios))
                processes.unmap(process, page, nr)
                if random.random() < 0.3:
                    processes.populate(process, page, nr, order=0)
            processes.wait(LONG // 4)
            processes.exit(alive.pop(random.randrange(len(alive))))


def shared_library(processes: Processes, usage: Usage) -> None:
    """Unrelated processes map parts of a file as they touch it, and unmap; one exits and another one starts."""
    random = processes.random
    step = min(RUN, usage.folio_pages)
    windows = range(0, usage.nr_pages, step)
    maps: dict[int, set[int]] = {}
    for _ in range(ROUNDS * 4 * (usage.mms + 1)):
        while len(maps) < usage.mms:
            maps[processes.start()] = set()
        process = random.choice(list(maps))
        mapped = maps[process]
        for page in random.sample(windows, max(1, len(windows) // 8)):
            if page not in mapped:
                first, nr = _run_in(processes, step)
                processes.map_file(process, page + first, page + first, nr)
                mapped.add(page)
            elif random.random() < 0.3:
                processes.unmap(process, page, step)
                mapped.remove(page)
        processes.wait(LONG // 20)
        if random.random() < 0.15:
            processes.exit(process)
            del maps[process]
    for process in maps:
        processes.exit(process)


def random_operations(processes: Processes, usage: Usage) -> None:
    """Random operations: fork, exit, writes, partial unmaps, pauses, new folios."""
    random = processes.random
    alive = [processes.start()]
    processes.populate(alive[0], 0, usage.nr_pages)
    while len(alive) < usage.mms:
        alive.append(processes.fork(random.choice(alive)))
    for _ in range(ROUNDS * usage.folios * 2):
        process = random.choice(alive)
        folio = random.randrange(usage.folios)
        what = random.choices(("fork", "exit", "write", "unmap", "wait", "renew"), (3, 2, 40, 20, 10, 10))[0]
        if what == "fork" and len(alive) < usage.mms:
            alive.append(processes.fork(process))
        elif what == "exit" and len(alive) > 1:
            processes.exit(process)
            alive.remove(process)
        elif what == "write":
            processes.write(process, *_run_of(processes, usage, folio))
        elif what == "unmap":
            processes.unmap(process, *_run_of(processes, usage, folio))
        elif what == "wait":
            processes.wait(LONG // 20)
        elif what == "renew":
            processes.unmap(process, folio * usage.folio_pages, usage.folio_pages)
            processes.populate(process, folio * usage.folio_pages, usage.folio_pages)
    for process in alive:
        processes.exit(process)


def last_child(processes: Processes, usage: Usage) -> None:
    """A parent forks children and exits, they exit in order; the last one lives long, and then writes everything."""
    for _ in range(ROUNDS):
        parent = processes.start()
        processes.populate(parent, 0, usage.nr_pages)
        alive = [parent, *(processes.fork(parent) for _ in range(usage.mms - 1))]
        for process in alive[:-1]:
            processes.exit(process)
        processes.wait(LONG)
        for folio in range(usage.folios):
            processes.write(alive[-1], folio * usage.folio_pages, min(usage.folio_pages, RUN))
        processes.exit(alive[-1])


PATTERNS = (
    SharingPattern(
        name="snapshot",
        summary="a parent writes while forked children read, as for a database's snapshot",
        references=("docs/real-programs.md",),
        play=snapshot,
    ),
    SharingPattern(
        name="worker-pool",
        summary="a parent and its forked workers, which write a little, exit and are replaced",
        references=("docs/real-programs.md",),
        play=worker_pool,
    ),
    SharingPattern(
        name="daemons",
        summary="a tree of forks, of which a random process is left, lives long and writes",
        references=(SPEC,),
        play=daemons,
    ),
    SharingPattern(
        name="allocator",
        summary="forked processes give parts of folios back, and exit one after the other",
        play=allocator,
    ),
    SharingPattern(
        name="shared-library",
        summary="unrelated processes map and unmap parts of a file's folios",
        play=shared_library,
    ),
    SharingPattern(
        name="random",
        summary="fork, exit, writes, partial unmaps, new folios and pauses at random",
        play=random_operations,
    ),
    SharingPattern(
        name="last-child",
        summary="parent and siblings exit, the last child lives long: the worst case of two slots from 3 MMs on",
        references=(SPEC, "specification 2.4, trace T2"),
        play=last_child,
    ),
)
