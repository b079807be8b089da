"""Checks quiescent states (every thread is between two operations) against the page tables."""

from __future__ import annotations

from collections.abc import Sequence

from foliolab.framework.engine import zone
from foliolab.framework.engine.check import Violation, unmarked, violations
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import AccessError, LostLock
from foliolab.framework.machine.primitives import u64
from foliolab.framework.verify.explored.history import Boundary
from foliolab.framework.verify.explored.sharing import Sharing
from foliolab.framework.verify.explored.trie import Trie
from foliolab.framework.verify.explored.world import World


class Judge:
    """Loads quiescent states into an interpreted machine, and checks the laws there."""

    def __init__(self, world: World, sharing: Sharing, tries: Sequence[Trie]) -> None:
        self.world = world
        self.words = list(sharing.columns)
        self.tries = tries
        self._known: dict[tuple[object, ...], list[Violation]] = {}
        where = world.machine.map
        self._cpus = range(where.cpus[0] >> 3, where.mms[0] >> 3)
        self._cpu_words = (where.mms[0] - where.cpus[0]) // world.shape.nr_cpus >> 3

    @property
    def judged(self) -> int:
        return len(self._known)

    def boundaries(self, columns: Sequence[int]) -> list[Boundary]:
        """The boundary that each thread is at. `columns`: the nodes of the threads."""
        return [b.boundaries[b.at[node]] for b, node in zip(self.tries, columns, strict=True)]

    def judge(self, words: Sequence[int], columns: Sequence[int]) -> list[Violation]:
        """The violations in a state.

        Args:
            words: the values of the shared words.
            columns: the nodes of the threads.
        """
        here = self.boundaries(columns)
        own = [(word, value) for thread, boundary in enumerate(here) for word, value in self._own(thread, boundary)]
        key = self._key(words, own, here)
        if key not in self._known:
            self._known[key] = self._look(words, own, here)
        return self._known[key]

    def _own(self, thread: int, boundary: Boundary) -> list[tuple[int, int]]:
        """The changed words of a thread's own memory: (word, bits that differ)."""
        base = self.world.words
        thread_class = self.tries[thread].thread_class
        return [(thread_class.translated(thread, word), value ^ base[word]) for word, value in boundary.overlay]

    def _key(self, words: Sequence[int], own: list[tuple[int, int]], here: list[Boundary]) -> tuple[object, ...]:
        """A key of the state, without the distribution of per-CPU counts over the CPUs."""
        sums: dict[int, int] = {}
        rest = []
        for word, change in own:
            if word in self._cpus:
                at = (word - self._cpus.start) % self._cpu_words
                sums[at] = sums.get(at, 0) + u64(self.world.words[word] ^ change) - self.world.words[word]
            else:
                rest.append((word, change))
        kept = tuple(sorted((at, change) for at, change in sums.items() if change))
        frames = tuple((b.taken, b.freed) for b in here)
        return tuple(words), kept, tuple(sorted(rest)), frames

    def _look(self, words: Sequence[int], own: list[tuple[int, int]], here: list[Boundary]) -> list[Violation]:
        machine = self.world.machine
        raw = machine.vm.raw["q"]
        try:
            for word, value in zip(self.words, words, strict=True):
                raw[word] = value
            for word, change in own:
                raw[word] = u64(raw[word] ^ change)
            self._return_frames(here)
            truth = scan(machine)
            found = violations(machine, truth, self.world.most_owners)
            return found if self.world.swaps else [*found, *unmarked(machine, truth)]
        except LostLock as fault:
            return [Violation("lost-lock", fault.what)]
        except AccessError as fault:
            return [Violation("access", fault.what)]
        finally:
            machine.restore(self.world.base)

    def _return_frames(self, here: list[Boundary]) -> None:
        """Put freed blocks, and what is left of the reserves, into the free lists."""
        vm = self.world.machine.vm
        area = vm.at("zone", self.world.machine.map.zone)
        for program, boundary in zip(self.world.programs, here, strict=True):
            for pfn in program.reserve[boundary.taken :]:
                zone.free_folio(vm, area, pfn)
            for pfn, order in boundary.freed:
                zone._give_block(vm, area, pfn, order)
