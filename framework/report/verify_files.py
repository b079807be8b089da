"""The verdicts of `foliolab verify` as files that other programs read: SARIF 2.1.0 and JUnit XML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as xml

from foliolab.framework.contract.policy import CLAIMS
from foliolab.framework.report.verify import OWED_TEXT, Shown, headline
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.laws import LAWS
from foliolab.framework.verify.verifier import Verification

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
KINDS: Final = {"held": "pass", "partly": "open", "undecided": "open"}
"""SARIF's kind of each verdict that is no failure."""
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Entry = tuple[Verification, Sequence[Shown], str]
"""A verification, its refuted claims, and file and line of the policy's declaration."""


def _claims(verification: Verification) -> list[str]:
    return [*verification.claims, OWED]


def _bounds(verification: Verification, claim: str) -> str:
    """What the attacks that do not refute a claim covered, or why they could not decide."""
    found = [one for one in verification.findings if one.claim == claim and one.verdict != "refuted"]
    mixed = len({one.verdict for one in found}) > 1
    texts = (f"{one.attack}{f', {one.verdict}' if mixed else ''}: {one.bound}" for one in found)
    return "; ".join(dict.fromkeys(texts))


# -- SARIF -------------------------------------------------------------------------------------------
def sarif(entries: Sequence[Entry]) -> str:
    """A SARIF log with one run: a result for each broken law, and one for each claim that is not refuted."""
    results = [result for entry in entries for result in _results(entry)]
    names = list(dict.fromkeys(result["ruleId"] for result in results))
    for result in results:
        result["ruleIndex"] = names.index(result["ruleId"])
    version = next((one.versions.get("foliolab", "") for one, _, _ in entries), "")
    driver: dict[str, Any] = {"name": "FolioLab", "rules": [_rule(name) for name in names]}
    run = {
        "tool": {"driver": driver | ({"version": version} if version else {})},
        "invocations": [_invocation(one) for one, _, _ in entries],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _invocation(one: Verification) -> dict[str, Any]:
    return {"executionSuccessful": not one.interrupted, "commandLine": one.command or "foliolab verify"}


def _rule(name: str) -> dict[str, Any]:
    group, _, rest = name.partition("/")
    text = LAWS.get(rest, rest) if group == "law" else CLAIMS.get(rest, OWED_TEXT)
    return {"id": name, "shortDescription": {"text": text}, "defaultConfiguration": {"level": "error"}}


def _results(entry: Entry) -> Iterator[dict[str, Any]]:
    verification, shown, declared = entry
    for one in shown:
        example = one.finding.counterexample
        assert example is not None
        text = f"{verification.policy}: {example.message} ({_who(example.claim)}, refuted by {example.attack})"
        found = _result(f"law/{example.law}", "fail", text, verification, declared)
        yield found | {"properties": {"counterexample": one.path, "command": one.command}}
    for claim in _claims(verification):
        verdict = verification.verdict(claim)
        if verdict != "refuted":
            text = f"{verification.policy}: {_who(claim)} {verdict}. {_bounds(verification, claim)}"
            yield _result(f"claim/{claim or 'owed'}", KINDS[verdict], text.strip(), verification, declared)


def _who(claim: str) -> str:
    return f"claim {claim}" if claim else "what every policy owes"


def _result(rule: str, kind: str, text: str, verification: Verification, declared: str) -> dict[str, Any]:
    file, _, line = declared.rpartition(":")
    place: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": verification.policy, "kind": "module"}]}
    if file:
        region = {"startLine": int(line)}
        place["physicalLocation"] = {"artifactLocation": {"uri": _uri(Path(file))}, "region": region}
    return {
        "ruleId": rule,
        "kind": kind,
        "level": "error" if kind == "fail" else "none",
        "message": {"text": text},
        "locations": [place],
        "partialFingerprints": {"foliolab/v1": f"{verification.policy}/{rule}"},
    }


def _uri(file: Path) -> str:
    """Relative to the present folder where the file lies in it, as viewers of repositories expect."""
    path = file.resolve()
    here = Path.cwd().resolve()
    return quote(path.relative_to(here).as_posix()) if path.is_relative_to(here) else path.as_uri()


# -- JUnit -------------------------------------------------------------------------------------------
def junit(entries: Sequence[Entry]) -> str:
    """A JUnit file with a suite for each policy and a test case for each claim.

    A claim that some attack left undecided is an error, a refuted one a failure.
    """
    top = xml.Element("testsuites", name="foliolab verify")
    for verification, shown, declared in entries:
        suite = xml.SubElement(top, "testsuite", name=_text(verification.policy), timestamp=verification.started[:19])
        properties = xml.SubElement(suite, "properties")
        facts = {"verdict": headline(verification), "text": verification.digest, "verifier": verification.verifier}
        for name, value in facts.items():
            xml.SubElement(properties, "property", name=name, value=_text(value))
        for claim in _claims(verification):
            _case(suite, verification, claim, [one for one in shown if one.finding.claim == claim], declared)
        suite.set("time", f"{verification.seconds:.3f}")
        _count(suite, [*suite.iter("testcase")])
    _count(top, [*top.iter("testcase")])
    xml.indent(top)
    return xml.tostring(top, "unicode", xml_declaration=True) + "\n"


def _case(suite: xml.Element, verification: Verification, claim: str, shown: Sequence[Shown], declared: str) -> None:
    found = [one for one in verification.findings if one.claim == claim]
    seconds = max((one.seconds for one in found), default=0.0)
    case = xml.SubElement(
        suite, "testcase", classname=_text(f"foliolab.verify.{verification.policy}"), name=claim or "owed",
        time=f"{seconds:.3f}",
    )  # fmt: skip
    file, _, line = declared.rpartition(":")
    if file:
        case.set("file", _text(file))
        case.set("line", line)
    verdict = verification.verdict(claim)
    if verdict == "refuted":
        refuted: list[Finding] = [one for one in found if one.verdict == "refuted"]
        messages = [one.counterexample.message for one in refuted if one.counterexample is not None]
        failure = xml.SubElement(case, "failure", type="refuted", message=_text("; ".join(dict.fromkeys(messages))))
        failure.text = _text("\n".join(f"{one.path}\n{one.command}" for one in shown if one.path))
    elif verdict != "held":
        why = _bounds(verification, claim) or "no attack examined it"
        xml.SubElement(case, "error", type=verdict, message=_text(why))


def _count(element: xml.Element, cases: Sequence[xml.Element]) -> None:
    for name, child in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(child) is not None for case in cases)))
    element.set("tests", str(len(cases)))


def _text(text: str) -> str:
    """A text without the characters that XML cannot have."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def write(entries: Sequence[Entry], files: Mapping[str, Path | None]) -> None:
    """Write the files that were asked for.

    Args:
        files: by format, `sarif` and `junit`.

    Raises:
        ResultFileError: a file cannot be written.
    """
    from foliolab.framework.document import write_atomically

    for make, path in ((sarif, files.get("sarif")), (junit, files.get("junit"))):
        if path is not None:
            write_atomically(path, make(entries).encode())
