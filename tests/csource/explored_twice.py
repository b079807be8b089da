"""The interleavings of one program, of a C policy's translation and of what the compiler makes of its C."""

from __future__ import annotations

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.explored.exploration import Explorer
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.programs import Program
from foliolab.framework.verify.explored.world import World


def states_of_both(scheme: Scheme, program: Program) -> tuple[int, int]:
    """How many states the translation has, and the compiled C, neither of which breaks a law."""
    states = []
    for of_c in (False, True):
        world = World(scheme, program.shape, program.setup, program.threads)
        found = Explorer(world, Options(memory=64 << 20, compiled=of_c)).run(lambda so_far: True)
        assert found.complete and not found.broken
        states.append(found.states)
    return states[0], states[1]
