"""The results of a replay, read from its cells and summed in Python integers, which do not overflow."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from foliolab.framework.engine.machine import Machine
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import BUCKET_CELLS, BUCKETS, FALSE, MATRIX, MOST_OWNERS, UNSAFE, Cells, Sizes
from foliolab.framework.replay.episodes import length_class, quantile
from foliolab.framework.replay.owners import IS_FALSE, IS_UNSAFE
from foliolab.framework.replay.result import Ended, Fault, Replayed, ReplaySample, Wrong
from foliolab.framework.trace.events import KINDS

_TALLIES: Final = {
    "events without an MM, or whose MM cannot be": cells.NO_MM,
    "events of MMs that had gone": cells.DEAD_MM,
    "events at impossible addresses": cells.FAR_PAGE,
    "folios of sizes that anonymous memory does not have": cells.NO_ORDER,
    "folios of files": cells.OF_FILE,
    "faults where the replay still had pages mapped (an unmap that was not recorded)": cells.STALE,
    "events of unknown kinds": cells.KIND,
    "large folios that the kernel itself migrated, split, collapsed or swapped": cells.HINTED,
}

MOST: Final = (1 << 63) - 1
"""The largest number of a result; a sum that would be larger stays there, and the replay fails."""
_FLAGS: Final = (IS_FALSE, IS_UNSAFE)
_WRONG: Final = (
    {
        "episodes": cells.FALSE_EPISODES, "longest": cells.FALSE_LONGEST, "longest_ops": cells.FALSE_LONGEST_OPS,
        "ops": cells.FALSE_OPS, "peak": cells.FALSE_PEAK, "peak_at": cells.FALSE_PEAK_AT,
    },
    {
        "episodes": cells.UNSAFE_EPISODES, "longest": cells.UNSAFE_LONGEST, "longest_ops": cells.UNSAFE_LONGEST_OPS,
        "ops": cells.UNSAFE_OPS,
    },
)  # fmt: skip
"""The tally of each field of `Wrong`: falsely shared, then unsafe."""


def _trimmed(counts: Any) -> list[int]:
    """The counts from one owner on, without trailing zeros."""
    values = [int(count) for count in counts[1 : MOST_OWNERS + 1]]
    while values and not values[-1]:
        values.pop()
    return values


class Account:
    """The sums of one replay.

    Attributes:
        events: how many were replayed so far.
        seconds: time spent in the loop.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.events = 0
        self.seconds = 0.0
        self.samples: list[ReplaySample] = []
        self.folio_ns = [0] * BUCKETS
        self.page_ns = [0] * BUCKETS
        self._machine: Machine | None = None
        self._state: Cells | None = None

    def begin(self, machine: Machine, state: Cells) -> None:
        """Start to account for a machine that has replayed nothing yet."""
        self._machine, self._state = machine, state
        self._buckets = state.table(cells.AT_BUCKET).reshape(BUCKETS, BUCKET_CELLS)
        self._tallies = state.table(cells.AT_TALLY)
        self._tallies[cells.FRAMES_PEAK] = self.sizes.frames
        self._matrix = state.table(cells.AT_MATRIX).reshape(MATRIX)
        self._ends = state.table(cells.AT_ENDS).reshape(cells.ENDS)
        self._lengths = state.table(cells.AT_LENGTHS).reshape(cells.LENGTHS)
        self._nr_free = machine.vm.at("zone", machine.map.zone).nr_free

    def drain(self) -> None:
        """Move the sums over time out of the cells, up to the last event."""
        assert self._state is not None
        now = int(self._state.all[cells.NOW])
        table = self._buckets
        passed = now - table[:, 2]
        for bucket in np.flatnonzero(table[:, :2].any(axis=1) | table[:, 3:].any(axis=1)):
            folios, pages, _, folio_ns, page_ns = map(int, table[bucket])
            self.folio_ns[bucket] += folio_ns + folios * int(passed[bucket])
            self.page_ns[bucket] = min(self.page_ns[bucket] + page_ns + pages * int(passed[bucket]), MOST)
        table[:, 2] = now
        table[:, 3:] = 0

    def sample(self, moment: int) -> None:
        """Take a sample at a time, ns since the first event."""
        assert self._state is not None
        table = self._buckets
        self.samples.append(
            ReplaySample(
                time=moment,
                mms=int(self._state.all[cells.LIVE]),
                frames=self.sizes.frames - int(self._nr_free.peek()),
                folios=_trimmed(table[:, 0]),
                pages=_trimmed(table[:, 1]),
                false_folios=int(table[FALSE, 0]),
                false_pages=int(table[FALSE, 1]),
                unsafe_folios=int(table[UNSAFE, 0]),
            )
        )

    def finish(self, end: int = 0) -> None:
        """End the replay: wrong answers that last until now end here.

        Args:
            end: ns since the first event; the last replayed event, if that is later.
        """
        if self._state is None:
            return
        now = max(end, int(self._state.all[cells.NOW]))
        self._state.all[cells.NOW] = now
        self.drain()
        folios = self._state.table(cells.AT_FOLIO).reshape(-1, cells.FOLIO_CELLS)
        for unsafe, tally in enumerate(_WRONG):
            wrong = folios[((folios[:, 0] & _FLAGS[unsafe]) != 0) & (folios[:, 2] < now)]
            self._tallies[tally["episodes"]] += len(wrong)
            self._ends[unsafe, 0, cells.LASTING] += len(wrong)
            for measure, lengths, most in ((0, now - wrong[:, 2], "longest"), (1, wrong[:, 3], "longest_ops")):
                self._tallies[tally[most]] = max([int(self._tallies[tally[most]]), *lengths.tolist()])
                np.add.at(self._lengths[unsafe, measure], [length_class(length) for length in lengths.tolist()], 1)

    def replayed(self, policy: str) -> Replayed:
        """The result for the policy of that name."""
        if self._state is None:
            return Replayed(policy=policy)
        tallies = self._tallies
        return Replayed(
            policy=policy,
            events=self.events,
            seconds=self.seconds,
            frames=self.sizes.frames,
            frames_peak=self.sizes.frames - int(tallies[cells.FRAMES_PEAK]),
            owner_ns=_trimmed(self.folio_ns),
            owner_page_ns=_trimmed(self.page_ns),
            exclusive_ops=int(tallies[cells.EXCLUSIVE_OPS]),
            shared_ops=int(tallies[cells.SHARED_OPS]),
            most_owners=max(int(tallies[cells.OWNERS_PEAK]), min(1, int(tallies[cells.EXCLUSIVE_OPS]))),
            false_shared=self._wrong(0),
            unsafe=self._wrong(1),
            faults=self._faults(),
            sole_copies=int(tallies[cells.SOLE_COPIES]),
            not_modelled={what: int(tallies[at]) for what, at in _TALLIES.items() if tallies[at]},
            samples=self.samples,
        )

    def _wrong(self, unsafe: int) -> Wrong:
        bucket = UNSAFE if unsafe else FALSE
        counts: dict[str, Any] = {name: int(self._tallies[at]) for name, at in _WRONG[unsafe].items()}
        if unsafe:
            counts["first"] = int(self._tallies[cells.UNSAFE_FIRST]) - 1
        return Wrong(folio_ns=self.folio_ns[bucket], page_ns=self.page_ns[bucket], **counts, **self._episodes(unsafe))

    def _episodes(self, unsafe: int) -> dict[str, Any]:
        """The fields of `Wrong` that say how long wrong answers lasted, and how they ended."""
        in_time, in_ops = self._lengths[unsafe].tolist()
        ends = [
            Ended(event=KINDS.get(kind, ""), how=cells.HOW[how], times=int(self._ends[unsafe, kind, how]))
            for kind, how in np.argwhere(self._ends[unsafe]).tolist()
        ]
        # a length class may reach beyond the longest
        longest, longest_ops = (int(self._tallies[_WRONG[unsafe][most]]) for most in ("longest", "longest_ops"))
        return {
            "median": min(longest, quantile(in_time, 0.5)),
            "ninth": min(longest, quantile(in_time, 0.9)),
            "median_ops": min(longest_ops, quantile(in_ops, 0.5)),
            "ninth_ops": min(longest_ops, quantile(in_ops, 0.9)),
            "ends": sorted(ends, key=lambda end: -end.times),
        }

    def _faults(self) -> list[Fault]:
        found = []
        for of, kernel, policy in np.argwhere(self._matrix.any(axis=3)):
            certain, uncertain = self._matrix[of, kernel, policy]
            found.append(
                Fault(
                    of=cells.CLASSES[of],
                    kernel=cells.KERNEL[kernel],
                    policy=cells.POLICY[policy],
                    certain=int(certain),
                    uncertain=int(uncertain),
                )
            )
        return found
