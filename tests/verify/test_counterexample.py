"""Counterexamples: their files, and their playback according to the schedule."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import OPERATIONS, Operation
from foliolab.framework.errors import ModelError, ResultFileError, UsageError
from foliolab.framework.verify.counterexample import Counterexample, Turn, schedule_text
from foliolab.framework.verify.playback import confirm, play
from foliolab.policies import estimated_sharers, mm_id

MM_ID = mm_id.POLICY.with_parameters({})
HEURISTIC = estimated_sharers.POLICY.with_parameters({})
SHAPE: dict[str, Any] = {"nr_pages": 64, "nr_mms": 3, "nr_vpns": 8, "nr_cpus": 3, "max_order": 4}
SHARED_FILE = ["create mm=0", "create mm=1", "file_folio order=2", "map_file mm=0 vpn=0 pfn=0 nr=4"]


def example(**changes: object) -> Counterexample:
    whole = Counterexample(
        policy="mm-id",
        attack="explored",
        law="safe",
        claim="safe",
        message="",
        shape=SHAPE,
        setup=SHARED_FILE,
        threads=[["map_file mm=1 vpn=0 pfn=0 nr=2", "unmap mm=1 start=0 nr=2"], ["maybe_shared pfn=0"]],
        schedule="0*5 1*1 0*2",
    )
    return msgspec.structs.replace(whole, **changes)


# -- operations ------------------------------------------------------------------------------------------
def test_an_operation_reads_what_it_writes() -> None:
    one = Operation.of("fork", parent=0, child=1, mm_id=7)
    assert Operation.parse(one.text) == one
    assert str(one) == "fork parent=0 child=1 mm_id=7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no operation ''"),
        ("vanish mm=0", "no operation 'vanish'"),
        ("fork father=0", "'father=0' is not understood"),
        ("fork parent", "'parent' is not understood"),
        ("fork parent=one", "'parent=one' is not understood"),
    ],
)
def test_what_is_no_operation_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Operation.parse(text)


def test_a_bound_call_has_the_entry_points_and_runs_nothing() -> None:
    machine = Machine(MM_ID, Shape(**SHAPE), "interpreted")
    before = machine.snapshot()
    call = machine.bind("create", 0)
    assert call.operation == Operation.of("create", mm=0)
    assert [entry.__name__ for entry, _ in call.entries] == ["mm_create"]
    assert (machine.snapshot() == before).all()
    call()
    assert machine.is_alive(0)
    exits = machine.bind_operation(Operation.of("exit", mm=0))
    assert [entry.__name__ for entry, _ in exits.entries] == ["zap_range", "mm_drop"]
    with pytest.raises(ModelError, match="MM 1 does not exist"):
        machine.bind("exit", 1)
    exits()
    assert not machine.is_alive(0)


def test_an_operation_that_the_machine_does_not_know_is_refused() -> None:
    with pytest.raises(UsageError, match="no operation 'vanish'"):
        Operation.of("vanish")
    with pytest.raises(UsageError, match="fork has no argument 'father'"):
        Operation.of("fork", father=0)
    with pytest.raises(UsageError, match="exit does not take 3 arguments"):
        Operation.call("exit", 0, 1, 2)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_signature_is_that_of_the_method(name: str) -> None:
    method = inspect.signature(getattr(Machine, name)).parameters
    words = [f"{one.name}{'?' if one.default is not one.empty else ''}" for one in method.values()]
    assert OPERATIONS[name].arguments.split() == words[1:]
    assert Operation.of(name).sentence()


# -- files -----------------------------------------------------------------------------------------------
def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    example().save(tmp_path / "one.json")
    assert Counterexample.load(tmp_path / "one.json") == example()


def test_a_damaged_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    place = tmp_path / "one.json"
    with pytest.raises(ResultFileError, match="there is no counterexample"):
        Counterexample.load(place)
    example().save(place)
    whole = place.read_text()
    place.write_text(whole[: len(whole) // 2])
    with pytest.raises(ResultFileError, match="damaged"):
        Counterexample.load(place)
    place.write_text(whole.replace('"schema": 1', '"schema": 99'))
    with pytest.raises(ResultFileError, match="schema 99"):
        Counterexample.load(place)


def test_a_schedule_is_merged_and_read_back() -> None:
    turns = [Turn(0, 3), Turn(0, 2), Turn(1, 1), Turn(1, flush=1), Turn(0, 4)]
    assert schedule_text(turns) == "0*5 1*1 1! 0*4"
    assert example(schedule=schedule_text(turns)).turns == [Turn(0, 5), Turn(1, 1), Turn(1, flush=1), Turn(0, 4)]
    late = [Turn(0, 1, older=2), Turn(1, 1, waits=True), Turn(1, 2), Turn(1, flush=2)]
    assert schedule_text(late) == "0?2 1+ 1*2 1!2"
    assert example(schedule=schedule_text(late), memory_model="armv8").turns == late


@pytest.mark.parametrize("schedule", ["2*1", "0*x", "zero", "0*-1", "*", "0?", "0?0", "0!0", "0+1", "0?1+"])
def test_a_schedule_that_is_none_is_said(schedule: str) -> None:
    with pytest.raises(UsageError, match="is not a turn of one of the 2 threads"):
        _ = example(schedule=schedule).turns


# -- playing back ----------------------------------------------------------------------------------------
def test_threads_change_hands_where_the_schedule_says() -> None:
    frames = [frame for frame in play(example(), MM_ID).frames if frame.field.startswith(("page[", "folio."))]
    threads = [frame.thread for frame in frames]
    assert threads[:8] == [0] * 5 + [1] + [0] * 2
    assert {frame.thread for frame in frames[8:]} == {0, 1}, "what the schedule leaves open is run to its end"


def test_playing_back_twice_is_the_same() -> None:
    first, second = play(example(), MM_ID), play(example(), MM_ID)
    assert first.frames == second.frames
    assert first.states == second.states


def test_a_sound_policy_breaks_no_law_whatever_the_schedule() -> None:
    assert play(example(), MM_ID).violations == []
    assert not confirm(example(), MM_ID)


def test_a_reader_that_is_wrong_all_the_time_is_found() -> None:
    """Page 0 is mapped once, the others twice: the old heuristics look at page 0 alone."""
    both = ["map_file mm=1 vpn=1 pfn=1 nr=3"]
    wrong = example(setup=[*SHARED_FILE, *both], threads=[["maybe_shared pfn=0"]] * 2, schedule="0*1 1*1")
    found = play(wrong, HEURISTIC).violations
    assert [(one.law, one.claim) for one in found[:1]] == [("safe", "safe")]
    assert confirm(wrong, HEURISTIC)
    assert not confirm(wrong, MM_ID)


def test_a_reader_that_was_right_at_some_moment_is_not_blamed() -> None:
    """The query reads while the second MM maps nothing yet."""
    early = example(threads=[["map_file mm=1 vpn=1 pfn=1 nr=3"], ["maybe_shared pfn=0"]], schedule="1*9 0*99")
    assert play(early, HEURISTIC).violations == []


def test_a_sequence_is_checked_after_every_operation() -> None:
    setup = ["create mm=0", "create mm=1"]
    steps = ["file_folio order=2", "map_file mm=0 vpn=0 pfn=0 nr=4", "map_file mm=1 vpn=1 pfn=1 nr=3"]
    wrong = example(setup=setup, threads=[steps], schedule="", law="mapcount", claim="")
    assert play(wrong, MM_ID).violations == []
    assert not confirm(wrong, MM_ID)


def test_a_machine_that_is_none_is_said() -> None:
    with pytest.raises(UsageError, match="shape is not valid"):
        play(example(shape={"pages": 3}), MM_ID)


def test_stores_wait_in_the_buffer_until_they_are_let_out() -> None:
    """x86-TSO: thread 0 sees its plain store at once; other threads see it once it has left the buffer."""
    buffered = example(schedule="0*12 1*3 0*1", memory_model="tso")
    frames = play(buffered, MM_ID).frames
    assert frames, "it ran"
    assert play(buffered, MM_ID).violations == []
