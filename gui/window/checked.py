"""The result of the check of a policy, which several workspaces show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["checked", "refuted", "failed"]


@dataclass(frozen=True)
class Checked:
    """The result of the check of a policy.

    Args:
        policy: its name.
        state: checked if it compiles, runs, and nothing was refuted.
        message: what is wrong, with file and line if they are known; else what was checked.
    """

    policy: str
    state: State
    message: str
