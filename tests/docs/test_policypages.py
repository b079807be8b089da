"""The page of a policy says what the policy declares, and what was found; a third party's as well."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.anatomy.atomics import operations
from foliolab.framework.plugins.registry import load
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.precision.session import PrecisionRequest, precision

pages = pytest.importorskip("foliolab_docs.policypages", reason="the extra `docs` is not installed")

ROOT = Path(__file__).parents[2]
POLICIES = load().policies


class Quick:
    """What pages are made of, with precision from a single pattern."""

    def __init__(self, *plugins: Path) -> None:
        self.registry = load(plugins)
        self.ledger = pages.Ledger.of(self.registry)
        self.witnesses = pages.Witnesses.of(self.registry)
        self.played: PrecisionResult = precision(
            PrecisionRequest(
                patterns=[self.registry.patterns["last-child"]],
                schemes=[policy.with_parameters() for policy in self.registry.policies.values()],
                mms=(3,),
                folios=2,
                execution="interpreted",
            )
        )

    def precision(self, _: object) -> PrecisionResult:
        return self.played


@cache
def sources() -> Quick:
    return Quick()


def part(text: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


@pytest.mark.parametrize("name", POLICIES)
def test_everything_declared_stands_there(name: str) -> None:
    policy = POLICIES[name]
    scheme = policy.with_parameters()
    text = pages.page(policy, sources())
    assert text.startswith(f"# {name}\n")
    stored = part(text, "What it stores")
    for field in scheme.fields:
        (row,) = [line for line in stored.splitlines() if line.startswith(f"| `{field.name}` |")]
        assert f"byte {field.offset}" in row and field.ctype in row
    for parameter in policy.parameters:
        assert f"| `{parameter.name}` | {parameter.default} |" in part(text, "Parameters")
    claims = part(text, "What it claims, and what was found")
    assert {one for one in re.findall(r"^\| `([a-z-]+)` \|", claims, re.MULTILINE)} == scheme.capabilities
    assert "not verified" not in claims
    assert len(re.findall(r"^- ", part(text, "References"), re.MULTILINE)) == len(policy.references)
    assert text.count("<svg ") == (2 if pages.picture.available() else 0)


def test_what_is_refuted_stands_among_the_limits() -> None:
    for name, policy in POLICIES.items():
        limits = part(pages.page(policy, sources()), "Known limits and findings")
        refuted = sources().ledger.refuted(policy.with_parameters())
        assert limits.count("Refuted: ") == len(refuted), name
        for one in refuted:
            assert one.message in limits
    assert sources().ledger.refuted(POLICIES["rmap-id"].with_parameters())


def test_how_precise_is_what_was_played() -> None:
    row = part(pages.page(POLICIES["mm-id"], sources()), "How precise, in small")
    (point,) = [one for one in sources().played.points if one.policy == "mm-id"]
    share = 100 * point.false_shared.ops / point.exclusive_ops
    assert share > 50
    assert f"| `last-child` | {share:.1f} % |" in row


def test_a_policy_of_somebody_else_has_the_same_page(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (example,) = re.findall(r"```python good-policy\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mine.py").write_text(example)
    quick = Quick(tmp_path / "mine.py")
    made = pages.page(quick.registry.policies["total-only"], quick)
    assert "| `safe` | maybe_mapped_shared never calls" in made
    assert "not verified" in part(made, "What it claims, and what was found")
    assert "wrong answers: false shared" in made


def test_pages_are_made_anew_only_when_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def page(policy: Any, _: object) -> str:
        made.append(policy.name)
        return f"# {policy.name}\n"

    monkeypatch.setattr(pages, "page", page)
    folder = tmp_path / "policies"
    quick = sources()
    pages.write(quick, folder)
    assert made == list(POLICIES)
    (folder / "gone.md").write_text("# gone\n")
    pages.write(quick, folder)
    assert len(made) == 2 * len(POLICIES)
    assert not (folder / "gone.md").exists()
    pages.write(quick, folder)
    assert len(made) == 2 * len(POLICIES), "nothing changed"
    monkeypatch.setattr(pages, "digest", lambda: "another")
    pages.write(quick, folder)
    assert len(made) == 3 * len(POLICIES)


def test_what_the_page_on_precision_says_is_so() -> None:
    text = (ROOT / "docs" / "questions" / "precise.md").read_text("utf-8")
    assert "With two processes `mm-id` is exact in both patterns." in text
    registry = load()
    request = PrecisionRequest(
        patterns=[registry.patterns["last-child"], registry.patterns["worker-pool"]],
        schemes=[registry.policy("mm-id")],
        mms=(2, 3, 4),
        folios=4,
        execution="interpreted",
    )
    wrong = {(one.workload, one.mms): one.false_shared.ops for one in precision(request).points}
    assert {key for key, ops in wrong.items() if ops} == {("last-child", 3), ("last-child", 4)}


def test_what_the_page_on_cost_says_is_so() -> None:
    text = (ROOT / "docs" / "questions" / "cost.md").read_text("utf-8")
    assert "`mm-id` needs as many atomics as `page-mapcount`, since its lock takes the place of one." in text
    counts = {}
    for name in ("page-mapcount", "mm-id"):
        found = operations(load().policy(name), 2)
        counts[name] = {one.name: one for one in found if one.name.startswith("remove") and one.level == "PTE"}
    for what, one in counts["mm-id"].items():
        assert one.atomics == counts["page-mapcount"][what].atomics
        assert one.locks == 1 > counts["page-mapcount"][what].locks


def test_a_field_that_is_added_is_on_the_page() -> None:
    policy = POLICIES["exact"]
    extra = replace(policy.with_parameters().fields[0], name="_one_more", per="folio", page=2, offset=32)
    fields = (*policy.with_parameters().fields, extra)
    text = pages.page(replace(policy, fields=fields), sources())
    assert "| `_one_more` |" in text
