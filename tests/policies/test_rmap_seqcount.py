"""The atomic seqcount of the precise scheme, one writer at a time and against writers that stay."""

from __future__ import annotations

from typing import Any

import pytest

from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import AccessError
from foliolab.policies.rmap_id import POLICY
from foliolab.policies.rmap_id import seqcount as seq

FORMS = [seq.SHARED_ONLY, seq.CMPXCHG, seq.ADD_RETURN]


def word(value: int = 0) -> Any:
    machine = Machine(POLICY.with_parameters(), Shape(512, 1, 512), "interpreted")
    ref = machine.folio(0)._rmap_atomic_seqcount
    ref.write("test", value)
    return ref


@pytest.mark.parametrize("form", FORMS)
def test_a_lone_writer_is_exclusive_and_a_second_one_shared(form: int) -> None:
    ref = word()
    first = seq.write_begin(ref, form)
    assert first == (form != seq.SHARED_ONLY)
    start = seq.read_sequence(ref)
    assert seq.is_written(start, form)
    if first:
        with pytest.raises(AccessError, match="no thread is left that could release it"):
            seq.write_begin(ref, form)  # waits for the exclusive writer
        ref.write("test", start)
    else:
        assert not seq.write_begin(ref, form)
        seq.write_end(ref, form, False)
    seq.write_end(ref, form, first)
    assert not seq.is_written(seq.read_begin(ref, form), form)
    assert seq.read_retry(ref, start)
    assert ref.peek() == seq.SEQUENCE_STEP[form] * (1 if first else 2)


@pytest.mark.parametrize("form", FORMS)
def test_a_reader_does_not_wait_for_a_lost_writer(form: int) -> None:
    with pytest.raises(AccessError):
        seq.read_begin(word(1), form)


@pytest.mark.parametrize("form", FORMS)
def test_the_sequence_wraps(form: int) -> None:
    ref = word(-seq.SEQUENCE_STEP[form])
    seq.write_end(ref, form, seq.write_begin(ref, form))
    assert ref.peek() == 0


@pytest.mark.parametrize("form", [seq.CMPXCHG, seq.ADD_RETURN])
def test_who_loses_the_race_becomes_a_shared_writer(form: int) -> None:
    ref = word()

    class Race:
        def access(self, op: str, where: Any, old: int, new: int) -> None:
            if op == "atomic_read" and old == 0:
                ref.mem.view(ref.ctype)[ref.off // 8] = 1  # another writer, after this one looked

    ref.mem.observer = Race()
    assert not seq.write_begin(ref, form)
    assert ref.peek() == 2
