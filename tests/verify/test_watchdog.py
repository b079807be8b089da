"""What an exception that the watchdog has sent leaves behind."""

from __future__ import annotations

import subprocess
import sys

TRACED = """
import sys, threading
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.plugins.registry import load
from foliolab.framework.verify.watchdog import Stuck, Watchdog, _raise_in

machine = Machine(load().policy("mm-id"), Shape(16, 1, 4, max_order=2), "interpreted")
try:
    with Watchdog(machine.vm, 4) as watchdog:
        watchdog.raised = True
        _raise_in(threading.get_ident(), Stuck)
except Stuck:
    pass

def traced():
    return "traced code goes on"

sys.settrace(lambda *event: None)
print(traced())
"""


def test_code_that_is_traced_goes_on_after_an_operation_was_ended() -> None:
    """CPython's flag for such an exception stays set if it is only taken back, and traced code then never ends."""
    done = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "traced code goes on\n"), done.stderr
