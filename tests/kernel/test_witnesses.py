"""Witnesses: kernels that were held against exactly one policy text, kept and shown wherever the policy is listed."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foliolab.framework.errors import ResultFileError
from foliolab.framework.kernel import witnesses
from foliolab.framework.kernel.check import Agreement
from foliolab.framework.kernel.matrix import Row
from foliolab.framework.kernel.witnesses import NONE, Witnesses
from foliolab.framework.plugins.registry import load
from foliolab.framework.report import listing
from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.verify.ledger import Ledger
from foliolab.policies import mm_id, page_mapcount

MM_ID = mm_id.POLICY.with_parameters()
PAGE_MAPCOUNT = page_mapcount.POLICY.with_parameters()
SCHEMES = [PAGE_MAPCOUNT, MM_ID]
REMAKE = "foliolab kernel check --matrix --scenarios 300 --save-witnesses policies/witnesses.json"
DIFFERS: Any = SimpleNamespace(explained=False)
"""A disagreement; no more is asked of it."""


def agreement(writes: int = 200, differences: int = 0, complete: bool = True) -> Agreement:
    found = Agreement(tally={(True, "copied", "copied"): writes}, scenarios=10, complete=complete)
    return replace(found, disagreements=[DIFFERS] * differences)


def row(release: str, claims: str = "mm-id", lost: str = "", **agreements: Agreement) -> Row:
    made = Row(release, f"Linux {release} (CONFIG_MM_ID=y, CONFIG_PAGE_MAPCOUNT=y)", (claims,), lost=lost)
    made.agreements = {name.replace("_", "-"): one for name, one in agreements.items()}
    return made


def of(path: Path) -> Witnesses:
    return Witnesses({path: ["mm-id", "page-mapcount"]})


def test_a_witness_is_of_exactly_one_text(tmp_path: Path) -> None:
    path = tmp_path / "witnesses.json"
    witnesses.keep(SCHEMES, [row("7.3.4", mm_id=agreement(), page_mapcount=agreement(16, 1))], path)
    (found,) = of(path).about(MM_ID)
    assert (found.release, found.options) == ("7.3.4", "CONFIG_MM_ID=y, CONFIG_PAGE_MAPCOUNT=y")
    assert (found.scenarios, found.writes, found.differences, found.agrees) == (10, 200, 0, True)
    assert found.text == f"Linux 7.3.4 ({found.options}): 200 page writes, 0 differences, {found.date}"
    assert of(path).about(PAGE_MAPCOUNT) == (), "it claims nothing about this kernel, and differs"
    assert Witnesses({path: ["page-mapcount"]}).about(MM_ID) == (), "another plugin's policy"
    other = replace(mm_id.POLICY, capabilities=frozenset(), capabilities_of=None)
    assert of(path).about(other.with_parameters()) == (), "another declaration is another text"


def test_kernels_are_added_and_a_claim_that_does_not_hold_is_kept_as_that(tmp_path: Path) -> None:
    path = tmp_path / "witnesses.json"
    path.write_text("damaged")
    witnesses.keep([MM_ID], [row("7.3.4", mm_id=agreement(100)), row("6.16.12", mm_id=agreement(7))], path)
    witnesses.keep([MM_ID], [row("7.3.4", mm_id=agreement(300, 1)), row("6.9.1", mm_id=agreement(3))], path)
    found = of(path).about(MM_ID)
    assert [(one.release, one.writes, one.differences) for one in found] == [
        ("6.9.1", 3, 0), ("6.16.12", 7, 0), ("7.3.4", 300, 1),
    ]  # fmt: skip
    assert of(path).summary(MM_ID) == f"3 kernels, 6.9.1 to 7.3.4: 310 page writes, 1 difference, {found[0].date}"
    (record,) = witnesses.load(path)
    witnesses.save([replace(record, digest="of another text", source="")], path)
    assert of(path).about(MM_ID) == ()
    witnesses.keep([MM_ID], [row("7.3.4", mm_id=agreement(9))], path)
    assert [one.writes for one in of(path).about(MM_ID)] == [9], "witnesses of another text go"


def test_what_ended_early_is_no_witness(tmp_path: Path) -> None:
    path = tmp_path / "witnesses.json"
    rows = [
        row("6.12.1", lost="it panicked", mm_id=agreement()),
        row("6.12.2", mm_id=agreement(complete=False)),
        row("6.12.3", mm_id=agreement(0)),
    ]
    witnesses.keep([MM_ID], rows, path)
    assert of(path).about(MM_ID) == () and of(path).sentences(MM_ID) == [NONE]
    assert of(path).sentences(load().policies["exact"].with_parameters()) == [], "it models no kernel"


def test_a_listing_names_them_or_says_that_there_is_none(tmp_path: Path) -> None:
    path, registry = tmp_path / "witnesses.json", load()
    witnesses.keep([MM_ID], [row("7.3.4", mm_id=agreement(123456))], path)
    stream = StringIO()
    listing.render(registry, Plain(stream), Ledger(), of(path))
    lines = [line.strip() for line in stream.getvalue().splitlines() if "witnesses:" in line]
    assert lines[0] == f"witnesses: {NONE}" and "7.3.4" in lines[1] and "123,456 page writes, 0 differences" in lines[1]
    models = [policy for policy in registry.policies.values() if policy.models is not None]
    assert len(lines) == len(models)
    found = {one["name"]: one for one in listing.data(registry, Ledger(), of(path))["policies"]}
    assert found["mm-id"]["witnesses"][0]["writes"] == 123456 and found["mm-id"]["models"].startswith("Linux from 6.15")
    assert found["exact"]["witnesses"] == [] and found["exact"]["models"] == ""


def test_a_damaged_file_is_named_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "witnesses.json"
    witnesses.keep([MM_ID], [row("7.3.4", mm_id=agreement())], path)
    good = path.read_text()
    for bad in ('"writes": 200', '"writes": -1'), ('"release": "7.3.4"', '"release": 7'), ('"date"', '"day"'):
        path.write_text(good.replace(*bad))
        with pytest.raises(ResultFileError, match=r"the witnesses .*witnesses\.json are damaged"):
            witnesses.load(path)
        assert of(path).about(MM_ID) == () and len(of(path).problems) == 1
    path.write_text('{"schema": 2, "records": []}')
    with pytest.raises(ResultFileError, match="this FolioLab reads up to 1"):
        witnesses.load(path)


def test_each_shipped_policy_that_models_a_kernel_has_a_witness() -> None:
    registry = load()
    known = Witnesses.of(registry)
    assert not known.problems
    for policy in registry.policies.values():
        if policy.models is not None:
            found = known.about(policy.with_parameters())
            assert found, f"no kernel was held against the present text of {policy.name}; {REMAKE}"
            assert all(one.agrees and one.writes >= 100_000 for one in found), policy.name
