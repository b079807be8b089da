"""Timelines of counterexamples that the tests of the inspector and the diagram share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.timeline import Timeline
from foliolab.policies import mm_id

MM_ID = mm_id.POLICY.with_parameters()
RACE = Counterexample(
    policy="mm-id",
    attack="explored",
    law="safe",
    claim="safe",
    message="",
    shape={"nr_pages": 16, "nr_mms": 3, "nr_vpns": 8, "nr_cpus": 2, "max_order": 2},
    setup=["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1"],
    threads=[["unmap mm=0 start=0 nr=1", "maybe_shared pfn=0"], ["fork parent=1 child=2"]],
    schedule="0*2 1*5 0*3 1*200 0*200",
)
CONTENDED = msgspec.structs.replace(RACE, schedule="1*21 0*60 1*200 0*200")
"""Thread 1 is stopped while it holds the folio's lock, for which thread 0 then waits."""
WHOLE = msgspec.structs.replace(
    RACE, setup=[], threads=[[*RACE.setup, "unmap mm=0 start=0 nr=4", "exit mm=1"]], schedule=""
)


def never(folio: Any) -> bool:
    """Always answer exclusive."""
    return False


def timeline(example: Counterexample = RACE) -> Timeline:
    """The timeline under a correct policy."""
    return Timeline(example, MM_ID)


def wrong(example: Counterexample = RACE) -> Timeline:
    """The timeline under a policy that always answers exclusive."""
    policy = replace(mm_id.POLICY, name="wrong", hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=never))
    return Timeline(example, policy.with_parameters())
