"""Compiles what the stops of a tour need while the reader still reads; the work of a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foliolab.gui.window.jobs import Say, Step

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme

MEMORY = 64 << 20
"""Bytes of the modelled memory of a scenario that is only run to compile what it needs."""


def compile_ahead(policies: Sequence[str], files: Sequence[str], example: Path | None, say: Say) -> None:
    """Compile policies as a scenario of the example needs them, as attacks on the example do, or as a measurement does.

    Args:
        policies: their names.
        files: policy files besides the installed plugins.
        example: the example of the tour.
        say: called with each `Step`.

    Raises:
        FolioLabError: a policy cannot be compiled.
    """
    from foliolab.framework.explore import source
    from foliolab.framework.explore.session import Session
    from foliolab.framework.plugins import registry
    from foliolab.framework.run import build

    found = registry.load(files)
    schemes = [found.policy(name) for name in policies]
    if example is not None and example.suffix == ".scenario":
        say(Step(", ".join(policies)))
        session = Session(source.scenario_source(example), schemes, MEMORY)
        session.advance(session.nr_steps)
        return
    if example is not None and example.suffix == ".py":
        for scheme in schemes:
            _attacked(scheme, say)
        return
    for done, whole in build.build(schemes):
        say(Step(", ".join(policies), done, whole))


def _attacked(scheme: Scheme, say: Say) -> None:
    """Compile what the attacks on a policy and the check of its saved file run: the searches, and its native code."""
    from foliolab.framework.testing.alike import difference
    from foliolab.framework.verify.explored.native import SEARCHES, native

    for done, name in enumerate(SEARCHES):
        say(Step(scheme.name, done, len(SEARCHES) + 1))
        native(name)
    say(Step(scheme.name, len(SEARCHES), len(SEARCHES) + 1))
    difference(scheme)
