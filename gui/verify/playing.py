"""Plays a counterexample beside the window, since a long one takes seconds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from foliolab.framework.errors import FolioLabError, PluginError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.timeline import Timeline


class Playing:
    """One counterexample being played in a thread.

    Args:
        counterexample: which.
        scheme: the policy.

    Attributes:
        timeline: once it is played.
        fault: why it cannot be.
    """

    def __init__(self, counterexample: Counterexample, scheme: Scheme) -> None:
        self.timeline: Timeline | None = None
        self.fault: FolioLabError | None = None
        self._what = counterexample, scheme
        # a daemon: what a policy's own code does in it is watched, and ended, by the verifier's watchdog
        self._thread = threading.Thread(target=self._play, name="counterexample", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether it was played, or cannot be."""
        return self.timeline is not None or self.fault is not None

    def _play(self) -> None:
        from foliolab.framework.verify.timeline import Timeline

        try:
            self.timeline = Timeline(*self._what)
        except FolioLabError as fault:
            self.fault = fault
        except Exception as fault:  # whatever a policy's own code raises
            self.fault = PluginError(f"the counterexample cannot be played: {type(fault).__name__}: {fault}")
