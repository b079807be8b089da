"""Named processors and their constants: published measurements, each with its range, unit and source.

They stand in `processors.toml`. Each [[processor]] has a name, a description, and the vendor, family and model that
/proc/cpuinfo says. Each of its constants has the name of a term of the formula. A term without a constant is not
known for that processor, and no cell that needs it is predicted.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import msgspec

from foliolab.framework import host, intake
from foliolab.framework.document import Positive
from foliolab.framework.errors import PluginError, UsageError

FILE: Final = Path(__file__).with_name("processors.toml")
HOST: Final = "host"
"""The name that stands for the processor of this machine."""
TERMS: Final = {
    "instruction": "instructions",
    "locked": "locked instructions",
    "line": "lines of 64 bytes that L1 does not have",
    "far": "lines from memory",
    "copied": "copies of 64 bytes",
    "fault": "page faults",
}
"""The terms of the formula, each with what is counted for it."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Constant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one count of a term costs.

    Attributes:
        range: the lowest and the highest published value.
        unit: of both.
        source: where they are published.
        stand_in: which other processor was measured; empty if it was this one.
    """

    range: tuple[Positive, Positive]
    unit: _Text
    source: _Text
    stand_in: str = ""

    def __post_init__(self) -> None:
        if self.range[0] > self.range[1]:
            raise ValueError(f"the range {self.range[0]:g} to {self.range[1]:g} is upside down")

    @property
    def middle(self) -> float:
        """The middle of the range, at which a prediction is made."""
        return (self.range[0] + self.range[1]) / 2


class Processor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A processor.

    Attributes:
        name: by which it is chosen.
        described: its full name.
        cpu: vendor, family and model, as /proc/cpuinfo says them.
        constants: by term.
    """

    name: _Text
    described: _Text
    cpu: _Text
    constants: dict[str, Constant]

    def __post_init__(self) -> None:
        if unknown := self.constants.keys() - TERMS.keys():
            raise ValueError(f"{self.name} has a constant {min(unknown)!r}; terms are {', '.join(TERMS)}")


class Processors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of processors.

    Attributes:
        version: it increases with every change of a constant.
        processor: all of them.
    """

    version: Annotated[int, msgspec.Meta(ge=1)]
    processor: list[Processor]

    def __post_init__(self) -> None:
        names = [one.name for one in self.processor]
        if len(set(names)) < len(names) or HOST in names:
            raise ValueError("two processors have one name, or one is called host")

    def named(self, name: str) -> Processor:
        """A processor by its name; `host` is the one of this machine.

        Raises:
            UsageError: there is none; says which there are.
        """
        known: Mapping[str, Processor] = {one.name: one for one in self.processor}
        if name == HOST:
            cpu = of_host()
            if (found := next((one for one in self.processor if one.cpu == cpu), None)) is not None:
                return found
            raise UsageError(
                f"no constants are known for this machine's processor ({host.describe_host().cpu}, {cpu or 'unknown'})",
                f"choose one: {', '.join(known)}",
            )
        if name in known:
            return known[name]
        near = get_close_matches(name, known, 1, 0.4)
        raise UsageError(
            f"there is no processor {intake.excerpt(name)}",
            f"{f'did you mean {near[0]}? ' if near else ''}There are {', '.join(known)}, and {HOST} for this machine's",
        )


def parse(data: bytes, where: str) -> Processors:
    """The processors of a TOML text.

    Raises:
        PluginError: it is no TOML, has an unknown or missing key, or a range that is none.
    """
    try:
        return msgspec.toml.decode(data, type=Processors)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors, as is no UTF-8
        raise PluginError(f"the constants in {where} cannot be used: {error}", "reinstall FolioLab") from error


@cache
def processors() -> Processors:
    """The processors that FolioLab knows.

    Raises:
        PluginError: their file is damaged or missing.
    """
    return parse(intake.read(FILE, "file of processors", "reinstall FolioLab", error=PluginError), str(FILE))


def of_host() -> str:
    """Vendor, family and model of this machine's processor, as in `Processor.cpu`; empty if it does not say."""
    try:
        text = (host.PROC / "cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
    found = [re.search(rf"^{key}\s*:\s*(\S+)\s*$", text, re.MULTILINE) for key in ("vendor_id", "cpu family", "model")]
    words = [match[1] for match in found if match]
    return " ".join(words) if len(words) == len(found) and platform.machine() == "x86_64" else ""
