"""The class that a policy's tests subclass. Its checks are those of `foliolab check`."""

from __future__ import annotations

import inspect
from io import StringIO
from typing import Any, ClassVar

import pytest

from foliolab.framework.contract.policy import CAPABILITIES, Policy, Scheme
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import UsageError
from foliolab.framework.machine.source import written_signature
from foliolab.framework.testing.checks import CLAIM, COMPILED, OF_EVERY, Check, Outcome, checks_for
from foliolab.framework.testing.subject import SECONDS, Subject, subject_of

_SUBJECTS: dict[tuple[str, str, float], Subject] = {}
"""The subject of each policy, so that its attacks run once for all tests."""


class NotConforming(AssertionError):
    """A check of the kit failed."""


class PolicyConformance:
    """Subclass this class, and give it one fixture, `policy`.

        class TestMine(PolicyConformance):
            @pytest.fixture
            def policy(self):
                return POLICY

    The fixture returns a `Policy`, a policy with parameters (`POLICY.with_parameters({"slots": 3})`), or the name of an
    installed policy (`"mine:slots=3"`). There is one test for each check of `foliolab check`.

    Attributes:
        seconds: that the attacks may take.
        expected_failures: the reason for each check that must fail. A check that passes all the same is an error.
    """

    seconds: ClassVar[float] = SECONDS
    expected_failures: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def policy(self) -> Policy | Scheme | str:
        """The policy that is checked; override it."""
        raise UsageError(
            f"{type(self).__name__} has no policy",
            "give it a fixture `policy` that returns the policy",
        )

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per check."""
        if "conformance_check" not in metafunc.fixturenames:
            return
        names = _names(metafunc.cls)
        unknown = sorted(set(self.expected_failures) - set(names))
        if unknown:
            raise UsageError(
                f"{type(self).__name__}: expected_failures names {', '.join(unknown)}, which are not among its checks",
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
        subject = _shared(policy, self.seconds)
        check = _check_of(subject, conformance_check)
        if check is None:
            pytest.skip("the policy does not claim this")
        outcome = check.run(subject)
        request.node.user_properties += [
            ("foliolab.policy", subject.scheme.name), ("foliolab.verdict", outcome.verdict),
        ]  # fmt: skip
        if outcome.verdict == "skipped":
            pytest.skip(outcome.text)
        if outcome.verdict == "failed":
            raise NotConforming(_description(subject, check, outcome))


def _shared(policy: Policy | Scheme | str, seconds: float) -> Subject:
    subject = subject_of(policy, seconds=seconds)
    try:
        key = (subject.scheme.name, policy_digest(subject.scheme), seconds)
    except Exception:  # the text cannot be read: each check reports that
        return subject
    return _SUBJECTS.setdefault(key, subject)


def _check_of(subject: Subject, name: str) -> Check | None:
    return next((check for check in checks_for(subject.scheme) if check.name == name), None)


def _names(cls: type) -> list[str]:
    """The names of the checks of a class; those of every possible claim if its policy is not known yet."""
    found = _policy_of(cls)
    if found is not None:
        return [check.name for check in checks_for(subject_of(found).scheme)]
    return [*OF_EVERY, COMPILED, *(CLAIM + name for name in sorted(CAPABILITIES))]


def _policy_of(cls: type) -> Policy | Scheme | str | None:
    """The policy of a class, before its tests run; None if its fixture needs other fixtures."""
    fixture = inspect.getattr_static(cls, "policy", None)
    unwrap = getattr(fixture, "_get_wrapped_function", None)
    function = unwrap() if unwrap is not None else getattr(getattr(fixture, "__pytest_wrapped__", None), "obj", None)
    if function is None or list(written_signature(function).parameters) != ["self"]:
        return None
    given = function(cls())
    return given if isinstance(given, (Policy, Scheme, str)) else None


def _description(subject: Subject, check: Check, outcome: Outcome) -> str:
    """A failure as pytest shows it: what is wrong, what must hold, and the shortest counterexample."""
    lines = [f"{subject.scheme.name}: {check.name}: {outcome.text}", f"what must hold: {check.summary}"]
    if outcome.counterexample is not None:
        from foliolab.framework.report import interleaving
        from foliolab.framework.report.pages.terminal import TerminalPage
        from foliolab.framework.verify.timeline import Timeline

        text = StringIO()
        interleaving.render(Timeline(outcome.counterexample, subject.scheme), TerminalPage(text))
        lines += ["", text.getvalue()]
    return "\n".join(lines)
