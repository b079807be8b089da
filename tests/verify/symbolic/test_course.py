"""The symbolic run against the interpreted one: the same operations, the same fields, the same answers."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foliolab.framework.engine.machine import Machine
from foliolab.framework.verify.symbolic import term
from foliolab.framework.verify.symbolic.space import is_unknown
from foliolab.framework.verify.symbolic.sums import Sums
from foliolab.framework.verify.symbolic.unrolling import DUP, MAP, NEW, UNMAP, Course
from foliolab.framework.verify.symbolic.witness import Script
from foliolab.policies import foliolab_policies, mm_id_slots

_spec = importlib.util.spec_from_file_location("symbolic_evaluation", Path(__file__).with_name("evaluation.py"))
assert _spec is not None and _spec.loader is not None
evaluation = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(evaluation)

SCHEMES = {policy.name: policy.with_parameters() for policy in foliolab_policies()}
NARROW = "mm-id-slots:slots=2,width=32"
SCHEMES[NARROW] = mm_id_slots.POLICY.with_parameters({"slots": 2, "width": "32"})
FOLLOWED = [
    "mm-id", "mm-id-slots", NARROW, "mm-id-v1", "no-page-mapcount", "total-mapped-pages", "rmap-id", "owner-vma",
    "exact", "page-mapcount",
]  # fmt: skip
STEPS = 4
ORDERS = {"rmap-id": 7}


def made(name, anon, cache={}):  # noqa: B006  # on purpose: a course takes longer than an example
    """A course of some steps, with what it answers after each."""
    if (name, anon) not in cache:
        course = Course(SCHEMES[name], ORDERS.get(name, 3), 15, anon, lambda: False)
        states = []
        for _ in range(STEPS):
            course.step()
            asked = {entry: course.asked(entry, None) for entry in ("mapcount", "maybe_mapped_shared")}
            fields = {
                stored.name: getattr(course.space.folio(), stored.name)[0].get()
                for stored in course.scheme.stored("folio")
                if stored.page < 1 << course.order
            }
            states.append((asked, fields, course.legal[-1]))
        cache[name, anon] = (course, states)
    return cache[name, anon]


def drawn(data, scheme, order, anon):
    """Legal steps: (kind, ID, pages)."""
    pages, steps = 1 << order, []
    mapped: dict[int, int] = {}
    ids = data.draw(st.lists(st.integers(1, scheme.max_mm_id), min_size=3, max_size=3, unique=True))
    for number in range(STEPS):
        one = data.draw(st.sampled_from(ids))
        count = mapped.get(one, 0)
        kinds = []
        if anon and number == 0:
            kinds = [(NEW, pages, pages)]
        else:
            if not anon and count < pages:
                kinds.append((MAP, 1, pages - count))
            room = max((c for other, c in mapped.items() if other != one), default=0)
            if number and count == 0 and room:
                kinds.append((DUP, 1, room))
            if count:
                kinds.append((UNMAP, 1, count))
        if not kinds:
            break
        kind, low, high = data.draw(st.sampled_from(kinds))
        nr = data.draw(st.integers(low, high))
        mapped[one] = count + (-nr if kind == UNMAP else nr)
        steps.append((kind, one, nr))
        if anon and not any(mapped.values()):
            break
    return steps


@pytest.mark.parametrize("anon", [False, True])
@pytest.mark.parametrize("name", FOLLOWED)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_fields_and_answers_are_those_of_the_interpreted_engine(name, anon, data):
    course, states = made(name, anon)
    steps = drawn(data, course.scheme, course.order, anon)
    script = Script(course.order, anon)
    values = {"P": 1 << course.order}
    ends = []
    for number, (kind, mm_id, nr) in enumerate(steps):
        values |= {f"kind{number}": kind, f"id{number}": mm_id, f"nr{number}": nr}
        script.step(kind, mm_id, nr)
        ends.append(len(script.operations))
    machine = Machine(course.scheme, script.shape(), "interpreted")
    for number, operation in enumerate(script.operations, 1):
        machine.apply(operation)
        if number not in ends or (anon and not any(machine.is_mapped(mm, 0, 8) for mm in range(len(script.numbers)))):
            continue
        asked, fields, legal = states[ends.index(number)]
        # a fork into an MM that had mapped the folio makes its parent any that maps enough
        known = {one.args[0] for one in term.variables([legal])}
        if known <= values.keys() and not course.forks_map:
            assert evaluation.value(legal, values)
        if not is_unknown(asked["mapcount"]):
            assert evaluation.value(asked["mapcount"], values) == machine.mapcount(0)
        if not is_unknown(asked["maybe_mapped_shared"]):
            shared = evaluation.value(asked["maybe_mapped_shared"], values)
            assert bool(shared) == bool(machine.maybe_shared(0))
        for field, held in fields.items():
            if not is_unknown(held):
                view = machine.column("folio", field)[0].item()
                assert evaluation.value(held, values) in (view, view - (1 << 64)), field


@pytest.mark.parametrize("name", ["rmap-id", "page-mapcount"])
def test_a_state_that_is_a_sum_is_the_one_that_operations_reach(name):
    course = Course(SCHEMES[name], 7, 15, False, lambda: False)
    sums = Sums(course)
    assert sums.find()
    sums.held_by(2)
    state = course.paths.state
    values = {"P": 128, "id0": 0x123456, "held0": 30, "id1": 0xFEDCBA, "held1": 5}
    script = Script(7, False)
    for kind, mm_id, nr in [(MAP, 0x123456, 40), (MAP, 0xFEDCBA, 9), (UNMAP, 0x123456, 10), (UNMAP, 0xFEDCBA, 4)]:
        script.step(kind, mm_id, nr)
    machine = Machine(course.scheme, script.shape(), "interpreted")
    for operation in script.operations:
        machine.apply(operation)
    fields = course.space.layouts["folio"].fields
    compared = 0
    for place in sums.added:
        field = next(f for f in fields if f.offset <= place[1] < f.end)
        size = field.size // field.count
        ctype = course.space.cells["folio"][place[1]].ctype
        assert ctype is not None
        now = machine.vm.view(ctype)[place[1] // size]
        assert evaluation.value(state[place], values) == now
        compared += 1
    assert compared == {"rmap-id": 4, "page-mapcount": 1}[name]


@pytest.mark.parametrize("name", ["mm-id", "owner-vma", "exact", "mm-id-v1"])
def test_a_state_that_depends_on_the_order_of_operations_is_no_sum(name):
    assert not Sums(Course(SCHEMES[name], 4, 15, False, lambda: False)).find()
