"""The page of a counterexample in a browser: both ways by keys, light and dark, on paper, and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Browser, browser
from raced import played, plugin_in

from foliolab.framework.report.walkthrough import counterexample as walks
from foliolab.framework.report.walkthrough.html import html

STEP = "document.querySelector('tr.here').firstElementChild.textContent"
PAPER = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder: Path = tmp_path_factory.mktemp("page")
    with browser(folder / "profile") as found:
        timeline = played(plugin_in(folder))
        file = folder / "race.html"
        file.write_text(html(walks.walkthrough(timeline, file)), "utf-8")
        found.open(file)
        yield found


def test_it_shows_the_end_first_and_steps_both_ways(opened: Browser) -> None:
    end = int(opened.value(STEP))
    shown = opened.value("document.getElementById('now').textContent")
    assert shown.startswith(f"step {end}: ")
    opened.press("ArrowLeft")
    before = int(opened.value(STEP))
    assert before < end
    opened.press("Home")
    assert int(opened.value(STEP)) == 0
    table = "document.querySelector('.pages tbody').textContent"
    assert "w" not in opened.value(table), "nothing is mapped before the first write"
    for _ in range(2):
        opened.press("ArrowRight")
    assert int(opened.value(STEP)) == 2
    forth = opened.value(table)
    opened.press("End")
    assert int(opened.value(STEP)) == end
    opened.press("Home")
    opened.press("ArrowRight")
    opened.press("ArrowRight")
    assert opened.value(table) == forth
    opened.press("End")


def test_every_access_and_the_line_that_did_it(opened: Browser) -> None:
    visible = "[...document.querySelectorAll('#steps tbody tr')].filter(row => row.offsetHeight).length"
    few = opened.value(visible)
    opened.press("a")
    assert opened.value(visible) > few
    opened.press("a")
    assert opened.value(visible) == few
    opened.value("document.querySelector('tr.lock').click()")
    assert "test_and_set_bit_lock" in opened.value("document.getElementById('now').textContent")
    assert opened.value("document.querySelectorAll('.ran').length") == 1
    assert opened.value("document.querySelectorAll('.new').length") >= 1, "what changed is marked"


def test_light_dark_narrow_and_on_paper(opened: Browser) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        colours.add(opened.value(PAPER))
    assert len(colours) == 2
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    opened.call("Emulation.setDeviceMetricsOverride", **metrics)
    assert opened.value("document.documentElement.scrollWidth") <= 390, "nothing is cut at the right"
    opened.call("Emulation.clearDeviceMetricsOverride")
    opened.call("Emulation.setEmulatedMedia", media="print")
    assert not opened.value("document.getElementById('bar').offsetHeight")
    opened.call("Emulation.setEmulatedMedia", media="")


def test_it_asks_for_nothing_and_nothing_goes_wrong(opened: Browser) -> None:
    assert all(address.startswith("file:") and address.endswith("race.html") for address in opened.requests)
    assert opened.faults == []
    assert opened.value("document.getElementById('command').textContent") == "foliolab step race.html --plugin never.py"
