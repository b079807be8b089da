"""The page "Which kernels do this?" is made from stored answers, which are about the present scenarios."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foliolab.framework.kernel import survey
from foliolab.framework.kernel.survey import Deed, Deeds
from foliolab.framework.plugins.registry import load
from foliolab.framework.scenario import parser

kernelpage = pytest.importorskip("foliolab_docs.kernelpage", reason="the extra `docs` is not installed")
REGISTRY = load()
STEP = "C: write heap[0]"


def deed(name: str, text: str = "") -> Deed:
    return Deed(name, text or survey.text_digest(parser.load(REGISTRY.scenario(name))), ("copied",))


def test_the_page_is_made_from_the_stored_answers(tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    swapped = replace(deed("cow-basic-swapped"), missing=survey.NO_SWAP)
    differs = [replace(deed("third-stays"), step=STEP, found="reused", expected="copied"), deed("child-alive"), swapped]
    same = [deed("third-stays"), deed("child-alive", text="of before"), swapped]
    made = [("6.12.117+deb13-cloud-amd64", differs), ("7.3.4-no-page-mapcount", same)]
    survey.keep([Deeds(name, f"Linux {name} (no MM IDs)", "2026-11-30", "test", deeds) for name, deeds in made], path)
    lines = list(kernelpage.part(REGISTRY, path))
    rows = {line.split(" | ")[0][2:]: line for line in lines if line.startswith("| `")}
    assert rows.keys() >= {f"`{one.name}`" for one in parser.load_in_order(REGISTRY.scenarios.values())}
    assert "| scenario | 6.12.117 | 7.3.4-no-page-mapcount |" in lines
    assert rows["`third-stays`"] == "| `third-stays` | reused | ✓ |"
    assert rows["`child-alive`"].endswith("| ✓ | ? |") and rows["`cow-basic-swapped`"].endswith("| – | – |")
    assert rows["`small-pages`"].endswith("| – | – |")
    assert rows["`6.12.117+deb13-cloud-amd64`"].endswith("| no MM IDs | 1 of 2 | 2026-11-30 |")
    assert f"  - 6.12.117: `{STEP}: reused, not copied`" in lines
    assert "- `test`, 2026-11-30" in lines and "- the guest has no swap: 1 on each kernel" in lines


def test_what_is_stored_is_about_the_present_scenarios() -> None:
    found = survey.load(kernelpage.STORED)
    texts = {one.name: survey.text_digest(one) for one in parser.load_in_order(REGISTRY.scenarios.values())}
    again = "play them again: foliolab kernel scenarios --matrix --save docs/kernels.json"
    for kernel in found:
        shipped = {one.scenario: one.text for one in kernel.deeds}
        assert shipped.items() <= texts.items(), f"{kernel.name} did not play the present texts; {again}"
