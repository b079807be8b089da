"""The pages about findings are made from what was kept, and from nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework.plugins.registry import load
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.ledger import KeptVerdict, Ledger

pages = pytest.importorskip("foliolab_docs.findingpages", reason="the extra `docs` is not installed")

MM_ID = load().policy("mm-id")
LOSES = Counterexample(
    policy="mm-id",
    attack="explored",
    law="statistics",
    claim="page-mapcount",
    message="it is one off",
    shape={"nr_pages": 16, "nr_mms": 2, "nr_vpns": 8, "nr_cpus": 2, "max_order": 2},
    setup=["create mm=0 mm_id=1", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1 mm_id=2"],
    threads=[["unmap mm=0 start=0 nr=1"], ["unmap mm=1 start=0 nr=1"]],
    schedule="0*3 1*3",
)
"""Threads that break no law, as if somebody had mended the text since."""


def finding(example: Counterexample | None = LOSES, policy: str = "mm-id") -> Any:
    kept = KeptVerdict("page-mapcount", "refuted", "2026-11-30", "explored", "statistics", "it is one off")
    return pages.Found(load().policy(policy), kept, "statistics", example)


@pytest.fixture(scope="module")
def mends() -> Any:
    found = pages.Mends()
    for name in {*found.registry.policies} - {"mm-id-mended"}:  # each other one is explored, too, which takes a second
        del found.registry.policies[name]
    return found


def test_each_law_that_broke_in_a_shipped_policy_has_a_page_and_a_line() -> None:
    registry = load()
    ledger = Ledger.of(registry)
    every = pages.found(registry, ledger)
    names = [one.name for one in every]
    assert len(set(names)) == len(names)
    for policy in registry.policies.values():
        for kept in ledger.refuted(policy.with_parameters()):
            assert f"{policy.name}-{kept.law}" in names
    lines = "\n".join(pages.listed(registry, ledger))
    assert all(f"(findings/{name}.md)" in lines for name in names)
    assert all(one.example.policy == one.scheme.policy.name for one in every if one.example)


def test_a_page_has_every_part_of_a_finding(mends: Any, tmp_path: Path) -> None:
    one, other = finding(), finding(policy="exact")
    text = pages.page(one, [one, other], pages.shown(one), mends)
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        "## The interleaving", "## The smallest program", "## Which kernels have the text",
        "## Does a running kernel show it?", "## What would mend it",
    ]  # fmt: skip
    assert "**The law holds now**" in text and "thread 0" in text and "{foliolab-page} mm-id-statistics.html" in text
    assert "--program mm-id-statistics.json" in text and '"unmap mm=1 start=0 nr=1"' in text
    assert "Linux from 6.15 on" in text and "[exact](exact-statistics.md)" in text
    assert "| `mm-id-mended` |" in text and "states: the law holds |" in text


def test_a_verdict_without_a_counterexample_says_how_to_find_it(mends: Any) -> None:
    one = finding(None)
    text = pages.page(one, [one], pages.shown(one), mends)
    assert "`foliolab verify mm-id` finds it again" in text and "{foliolab-page}" not in text


def test_a_sequence_of_one_thread_is_played_on_other_texts(mends: Any) -> None:
    one = finding(msgspec.structs.replace(LOSES, threads=[["unmap mm=0 start=0 nr=1"]], schedule=""))
    assert mends.outcome(one, MM_ID) == "played: the law holds"
    small = replace(MM_ID.policy, max_order=1).with_parameters()
    assert mends.outcome(one, small).startswith("cannot be played: ")
    assert "None is kept." not in pages.page(one, [one], pages.shown(one), mends)


@pytest.mark.parametrize(("changed", "said"), [(0, "It did not in what was tried."), (-1, "**Yes.**")])
def test_what_a_kernel_showed_is_what_the_file_says(changed: int, said: str, tmp_path: Path) -> None:
    every = {"control": 0, "at once": changed}
    rounds = [{"kind": kind, "trials": 7000, "seconds": 1.5, "changed": off} for kind, off in every.items()]
    run = {
        "program": "x.c", "law": "statistics", "operations": ["unmap", "unmap"], "command": "run x", "kernel": "6.18",
        "policies": ["mm-id"], "machine": "a machine", "date": "2026-12-01", "rounds": rounds,
    }  # fmt: skip
    file = tmp_path / "stress.json"
    file.write_text(json.dumps([run]))
    text = "\n".join(pages._on_a_kernel(finding(), file))
    assert said in text and f"| at once | 7,000 | 1.5 s | {changed:+} |" in text and "2026-12-01" in text
    assert "no kernel with this one was tried" in "\n".join(pages._on_a_kernel(finding(policy="exact"), file))
    file.write_text(json.dumps([run | {"operations": ["fork", "unmap"]}]))
    assert "Not tried: no run" in "\n".join(pages._on_a_kernel(finding(), file))
    assert "no released kernel has this text" in "\n".join(pages._on_a_kernel(finding(policy="exact"), file))


def test_what_the_kernels_own_text_does_is_what_the_file_says(tmp_path: Path) -> None:
    one = finding()
    row = {
        "law": "statistics", "program": pages.program_key(one), "kernel": "7.3.4", "options": "MM_ID=y",
        "verdict": "refuted", "states": 1560, "date": "2026-12-01",
    }  # fmt: skip
    file = tmp_path / "texts.json"
    file.write_text(json.dumps([row, row | {"verdict": "held", "options": ""}, row | {"law": "safe", "kernel": "6.1"}]))
    text = "\n".join(pages._kernel_texts(one, file))
    assert "| Linux 7.3.4 | `MM_ID=y` | the law is broken, too | 1,560 | 2026-12-01 |" in text
    assert "| Linux 7.3.4 | – | the law holds |" in text and "6.1" not in text
    assert list(pages._kernel_texts(finding(None), file)) == []
