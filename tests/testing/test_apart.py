"""A process of its own for native code: it may crash or go on for ever, and the answer is one line."""

from __future__ import annotations

import multiprocessing
import signal
import time

import pytest

from foliolab.framework.contract.hooks import DEPRECATED_HOOKS
from foliolab.framework.errors import PluginError, UsageError
from foliolab.framework.isolation.process import apart
from foliolab.framework.plugins import validation
from foliolab.framework.testing import checks
from foliolab.framework.testing.checks import checks_for
from foliolab.framework.testing.subject import Subject
from foliolab.policies import mm_id

pytestmark = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")


def crash() -> str:
    signal.raise_signal(signal.SIGSEGV)
    return ""


def endless() -> str:
    while True:
        time.sleep(0.01)


def wrong() -> str:
    raise UsageError("not like this", "but like that")


def defect() -> str:
    return str(int("x"))


def test_an_answer_comes_back() -> None:
    assert apart(lambda: "four", 10) == "four"


@pytest.mark.parametrize(
    ("question", "says"),
    [(crash, "SIGSEGV"), (endless, "did not end within 0.5 s"), (wrong, "not like this"), (defect, "ValueError")],
)
def test_what_goes_wrong_is_one_line_and_no_process_is_left(question, says: str) -> None:
    with pytest.raises(PluginError) as found:
        apart(question, 0.5 if question is endless else 20)
    assert says in found.value.what and "\n" not in found.value.what
    assert not multiprocessing.active_children()


def test_native_code_that_crashes_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foliolab.framework.testing.alike.difference", lambda scheme, seed: crash())
    subject = Subject(mm_id.POLICY.with_parameters())
    found = next(one for one in checks_for(subject.scheme) if one.name == "native").run(subject)
    assert found.verdict == ("failed" if "SIGSEGV" in found.text else "skipped")
    assert checks.NATIVE > 0


def test_a_deprecated_hook_says_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEPRECATED_HOOKS, "can_reuse", "use may_reuse, which is told the page, too")
    with pytest.warns(FutureWarning, match="policy mm-id: the hook can_reuse is deprecated; use may_reuse"):
        validation.check_policy(mm_id.POLICY)
