"""Plays a counterexample in a thread, because a long one takes seconds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from foliolab.framework.errors import FolioLabError, PluginError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.timeline import Timeline


class Playing:
    """A counterexample that is being played in a thread.

    Args:
        counterexample: the counterexample.
        scheme: the policy.

    Attributes:
        timeline: its accesses and operations; None until it is played.
        fault: why it cannot be played; None if it can.
    """

    def __init__(self, counterexample: Counterexample, scheme: Scheme) -> None:
        self.timeline: Timeline | None = None
        self.fault: FolioLabError | None = None
        self._arguments = counterexample, scheme
        # A daemon thread: it runs the policy's code, which the watchdog of the verifier ends if it hangs.
        self._thread = threading.Thread(target=self._play, name="counterexample", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the counterexample was played or cannot be played."""
        return self.timeline is not None or self.fault is not None

    def _play(self) -> None:
        from foliolab.framework.verify.timeline import Timeline

        try:
            self.timeline = Timeline(*self._arguments)
        except FolioLabError as fault:
            self.fault = fault
        except Exception as fault:  # the policy's code can raise anything
            self.fault = PluginError(f"the counterexample cannot be played: {type(fault).__name__}: {fault}")
