"""A question answered by a process of its own: native code that crashes or never ends costs the answer alone."""

from __future__ import annotations

import faulthandler
import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from foliolab.framework.errors import FolioLabError, PluginError
from foliolab.framework.isolation import blame


def apart(question: Callable[[], str], seconds: float) -> str:
    """Ask in a forked process; where there is no fork, here.

    Args:
        question: gives the answer.
        seconds: that it may take.

    Returns:
        the answer.

    Raises:
        PluginError: the process crashed, or did not end in time.
        FolioLabError: what the question raised, as one line.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        return question()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(question, there), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(seconds):
            raise PluginError(f"native code did not end within {seconds:g} s", "look for an endless loop")
        good, text = here.recv()
    except EOFError as fault:
        process.join()
        code = process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        hint = "look for an access outside of the folio; `foliolab verify` finds it interpreted"
        raise PluginError(f"native code ended its process with {how}", hint) from fault
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        here.close()
    if not good:
        raise PluginError(text)
    return str(text)


def _answer(question: Callable[[], str], pipe: Connection) -> None:
    """Entry of the process."""
    faulthandler.disable()  # whoever asked tells of a crash, in one line
    try:
        said = True, question()
    except FolioLabError as fault:
        said = False, fault.what
    except Exception as fault:  # whatever a policy's own code raises
        said = False, blame.message(fault)
    with suppress(BrokenPipeError, OSError):
        pipe.send(said)
