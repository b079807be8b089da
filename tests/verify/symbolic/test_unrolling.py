"""The symbolic run against the interpreted one: the same operations, the same fields, the same answers."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foliolab.framework.engine.machine import Machine
from foliolab.framework.verify.symbolic import term
from foliolab.framework.verify.symbolic.additive import AdditiveState
from foliolab.framework.verify.symbolic.space import is_unknown
from foliolab.framework.verify.symbolic.unrolling import DUP, MAP, NEW, UNMAP, Unrolling
from foliolab.framework.verify.symbolic.witness import Witness
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


def made(name, anon, cache={}):  # noqa: B006  # on purpose: a unrolling takes longer than an example
    """A unrolling of some steps, with what it answers after each."""
    if (name, anon) not in cache:
        unrolling = Unrolling(SCHEMES[name], ORDERS.get(name, 3), 15, anon, lambda: False)
        states = []
        for _ in range(STEPS):
            unrolling.step()
            asked = {entry: unrolling.answer(entry) for entry in ("mapcount", "maybe_mapped_shared")}
            fields = {
                stored.name: getattr(unrolling.space.folio(), stored.name)[0].get()
                for stored in unrolling.scheme.stored("folio")
                if stored.page < 1 << unrolling.order
            }
            states.append((asked, fields, unrolling.legal[-1]))
        cache[name, anon] = (unrolling, states)
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
    unrolling, states = made(name, anon)
    steps = drawn(data, unrolling.scheme, unrolling.order, anon)
    witness = Witness(unrolling.order, anon)
    values = {"P": 1 << unrolling.order}
    ends = []
    for number, (kind, mm_id, nr) in enumerate(steps):
        values |= {f"kind{number}": kind, f"id{number}": mm_id, f"nr{number}": nr}
        witness.step(kind, mm_id, nr)
        ends.append(len(witness.operations))
    machine = Machine(unrolling.scheme, witness.shape(), "interpreted")
    for number, operation in enumerate(witness.operations, 1):
        machine.apply(operation)
        if number not in ends or (anon and not any(machine.is_mapped(mm, 0, 8) for mm in range(len(witness.numbers)))):
            continue
        asked, fields, legal = states[ends.index(number)]
        # a fork into an MM that had mapped the folio makes its parent any that maps enough
        known = {one.args[0] for one in term.variables([legal])}
        if known <= values.keys() and not unrolling.fork_is_map:
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
    unrolling = Unrolling(SCHEMES[name], 7, 15, False, lambda: False)
    additive = AdditiveState(unrolling)
    assert additive.find()
    additive.map_by(2)
    state = unrolling.paths.state
    values = {"P": 128, "id0": 0x123456, "held0": 30, "id1": 0xFEDCBA, "held1": 5}
    witness = Witness(7, False)
    for kind, mm_id, nr in [(MAP, 0x123456, 40), (MAP, 0xFEDCBA, 9), (UNMAP, 0x123456, 10), (UNMAP, 0xFEDCBA, 4)]:
        witness.step(kind, mm_id, nr)
    machine = Machine(unrolling.scheme, witness.shape(), "interpreted")
    for operation in witness.operations:
        machine.apply(operation)
    fields = unrolling.space.layouts["folio"].fields
    compared = 0
    for place in additive.added:
        field = next(f for f in fields if f.offset <= place[1] < f.end)
        size = field.size // field.count
        ctype = unrolling.space.cells["folio"][place[1]].ctype
        assert ctype is not None
        now = machine.vm.view(ctype)[place[1] // size]
        assert evaluation.value(state[place], values) == now
        compared += 1
    assert compared == {"rmap-id": 4, "page-mapcount": 1}[name]


@pytest.mark.parametrize("name", ["mm-id", "owner-vma", "exact", "mm-id-v1"])
def test_a_state_that_depends_on_the_order_of_operations_is_no_sum(name):
    assert not AdditiveState(Unrolling(SCHEMES[name], 4, 15, False, lambda: False)).find()
