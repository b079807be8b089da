"""The commands of Explore: playing, stepping, zooming."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foliolab.gui.window.commands import Command

if TYPE_CHECKING:
    from foliolab.gui.explore.workspace import ExploreWorkspace


def actions(place: ExploreWorkspace) -> list[Command]:
    """All of them, in the order of the tool bar."""
    run, view, make = "&Run", "&View", place.command
    return [
        make("restart", "To the &start", place.to_start, menu=run, keys=("Home",), icon="restart", bar=True,
             tip="Go back to before the first step"),
        make("previous", "&Previous wrong answer", place.previous_wrong, menu=run, keys=("Shift+N",),
             icon="previous", bar=True, tip="Go back to where an answer became wrong"),
        make("back", "Step &back", place.step_back, menu=run, keys=("Left",), icon="back", bar=True,
             tip="Undo the last step"),
        make("unaccess", "One access back", place.access_back, menu=run, keys=("Ctrl+Left",), icon="unaccess",
             bar=True, tip="Look at the memory access before, with the line that does it"),
        make("play", "&Play or pause", place.toggle, menu=run, keys=("F5", "K"), icon="play", bar=True, word="Play",
             tip="Go on by itself, or stop"),
        make("access", "One &access on", place.access_on, menu=run, keys=("Ctrl+Right",), icon="access", bar=True,
             tip="Look at the next memory access, with the line that does it"),
        make("step", "&Step", place.step_on, menu=run, keys=("Right",), icon="step", bar=True, word="Step",
             tip="Do one operation"),
        make("next", "&Next wrong answer", place.next_wrong, menu=run, keys=("N",), icon="next", bar=True,
             word="Next wrong", tip="Go on to where an answer becomes wrong"),
        make("example", "An e&xample", place.example, menu=run, tip="Start an example with what is installed"),
        make("truth", "The &truth alone", place.show_truth, menu=view, keys=("T",), checkable=True,
             tip="Hide what policies get wrong: only what page tables say"),
        make("in", "Zoom &in", place.zoom_in, menu=view, keys=("Ctrl++", "Ctrl+="), tip="Larger cells",
             breaks=True),
        make("out", "Zoom &out", place.zoom_out, menu=view, keys=("Ctrl+-",), tip="Smaller cells"),
        make("fit", "The &whole map", place.maps.lens.fit, menu=view, keys=("Ctrl+0",), icon="fit", bar=True,
             word="Whole map", tip="Zoom out to the whole map"),
        make("touched", "Where the step &acted", place.zoom_touched, menu=view, keys=("A",),
             tip="Zoom to the pages that the last step touched"),
    ]  # fmt: skip
