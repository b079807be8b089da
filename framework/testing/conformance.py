"""The class that the tests of a policy subclass; its checks are those of `foliolab check`."""

from __future__ import annotations

import inspect
from io import StringIO
from typing import Any, ClassVar

import pytest

from foliolab.framework.contract.policy import CAPABILITIES, Policy, Scheme
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import UsageError
from foliolab.framework.testing.checks import CLAIM, OF_EVERY, Check, Outcome, checks_for
from foliolab.framework.testing.subject import SECONDS, Subject, subject_of

_SUBJECTS: dict[tuple[str, str, float], Subject] = {}
"""What the checks of one policy share: the attacks run once."""


class NotConforming(AssertionError):
    """A check of the kit failed."""


class PolicyConformance:
    """Subclass it, and give it one fixture: `policy`.

        class TestMine(PolicyConformance):
            @pytest.fixture
            def policy(self):
                return POLICY

    `policy` is a `Policy`, one with parameters (`POLICY.with_parameters({"slots": 3})`), or the name of an installed
    one (`"mine:slots=3"`). There is a test for each check; claims that the policy does not make are not tested.

    Attributes:
        seconds: that the attacks may take.
        expected_failures: check to reason: it must fail, and the reason is reported; strict, so that a check that
            passes all the same is an error.
    """

    seconds: ClassVar[float] = SECONDS
    expected_failures: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def policy(self) -> Policy | Scheme | str:
        """What is checked; to override."""
        raise UsageError(
            f"{type(self).__name__} has no policy",
            "give it a fixture `policy` that returns the policy",
        )

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test a check."""
        if "conformance_check" not in metafunc.fixturenames:
            return
        names = _names(metafunc.cls)
        unknown = sorted(set(self.expected_failures) - set(names))
        if unknown:
            raise UsageError(
                f"{type(self).__name__}: expected_failures names {', '.join(unknown)}, which are no checks of it",
                f"its checks are {', '.join(names)}",
            )
        metafunc.parametrize("conformance_check", [self._parameter(name) for name in names])

    def _parameter(self, name: str) -> Any:
        reason = self.expected_failures.get(name, "")
        expected = pytest.mark.xfail(reason=reason, strict=True, raises=NotConforming)
        return pytest.param(name, id=name.replace(" ", "-"), marks=[expected] if reason else [])

    def test_conforms(
        self, conformance_check: str, policy: Policy | Scheme | str, request: pytest.FixtureRequest
    ) -> None:
        """One check of the kit."""
        subject = _shared(policy, self.seconds)
        check = _check_of(subject, conformance_check)
        if check is None:
            pytest.skip("it does not claim that")
        outcome = check.run(subject)
        request.node.user_properties += [
            ("foliolab.policy", subject.scheme.name), ("foliolab.verdict", outcome.verdict),
        ]  # fmt: skip
        if outcome.verdict == "skipped":
            pytest.skip(outcome.text)
        if outcome.verdict == "failed":
            raise NotConforming(_told(subject, check, outcome))


def _shared(policy: Policy | Scheme | str, seconds: float) -> Subject:
    subject = subject_of(policy, seconds=seconds)
    try:
        key = (subject.scheme.name, policy_digest(subject.scheme), seconds)
    except Exception:  # the text cannot even be read: each check will say so
        return subject
    return _SUBJECTS.setdefault(key, subject)


def _check_of(subject: Subject, name: str) -> Check | None:
    return next((check for check in checks_for(subject.scheme) if check.name == name), None)


def _names(cls: type) -> list[str]:
    """The checks of a class; where its fixture needs others, those of every possible claim."""
    found = _policy_of(cls)
    if found is not None:
        return [check.name for check in checks_for(subject_of(found).scheme)]
    return [*OF_EVERY, *(CLAIM + name for name in sorted(CAPABILITIES))]


def _policy_of(cls: type) -> Policy | Scheme | str | None:
    """What a class's fixture returns, if it can be asked before the tests run: it takes nothing but self."""
    fixture = inspect.getattr_static(cls, "policy", None)
    unwrap = getattr(fixture, "_get_wrapped_function", None)
    function = unwrap() if unwrap is not None else getattr(getattr(fixture, "__pytest_wrapped__", None), "obj", None)
    if function is None or list(inspect.signature(function).parameters) != ["self"]:
        return None
    given = function(cls())
    return given if isinstance(given, (Policy, Scheme, str)) else None


def _told(subject: Subject, check: Check, outcome: Outcome) -> str:
    """A failure as pytest shows it: what is wrong, what would have to hold, and the minimal scenario."""
    lines = [f"{subject.scheme.name}: {check.name}: {outcome.text}", f"what would have to hold: {check.summary}"]
    if outcome.counterexample is not None:
        from foliolab.framework.report import interleaving
        from foliolab.framework.report.pages.terminal import TerminalPage
        from foliolab.framework.verify.timeline import Timeline

        text = StringIO()
        interleaving.render(Timeline(outcome.counterexample, subject.scheme), TerminalPage(text))
        lines += ["", text.getvalue()]
    return "\n".join(lines)
