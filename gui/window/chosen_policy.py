"""Commands about the policy that is chosen in the workspace in front: each shows it in another workspace."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from foliolab.gui.window.commands import Command

if TYPE_CHECKING:
    from foliolab.gui.window.notices import Notices
    from foliolab.gui.window.workspace import Workspace

PLACES: Final = {
    "policies": ("Show the policy in &Policies", "Show the text, claims and verdicts of the chosen policy"),
    "verify": ("Open the policy in &Verify", "Open the chosen policy in Verify"),
    "explore": ("Open the policy in E&xplore", "Open the chosen policy in Explore"),
    "benchmark": ("Open the policy in &Benchmark", "Open the chosen policy in Benchmark"),
}
OF_POLICY: Final = tuple(f"policy.{place}" for place in PLACES)
"""The names of the commands."""


def commands_of(here: Callable[[], Workspace], notices: Notices) -> list[Command]:
    """The commands.

    Args:
        here: the workspace in front.
        notices: says that no policy is chosen.
    """

    def show(place: str) -> None:
        workspace = here()
        policy = workspace.policy()
        if policy:
            workspace.send_policy(place, policy, workspace.desk.library.policies[0].name)
        else:
            notices.say("choose a policy first")

    return [Command(f"policy.{name}", text, partial(show, name), tip=tip) for name, (text, tip) in PLACES.items()]
