"""Which Linux kernels a policy models."""

from __future__ import annotations

from dataclasses import dataclass

from foliolab.framework.errors import PluginError


@dataclass(frozen=True)
class Models:
    """Which Linux kernels behave like a policy. `foliolab kernel check` compares such a running kernel with the policy.

    Args:
        since: the first release, (major, minor).
        until: the first release that no longer does; None: none so far.
        options: what its configuration must have, such as "CONFIG_MM_ID=y"; "CONFIG_X=n" is an option that is
            not set.

    Raises:
        PluginError: the releases are in no order, or an option is not written so.
    """

    since: tuple[int, int]
    until: tuple[int, int] | None = None
    options: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The releases and options as a text: "Linux from 6.15 on, CONFIG_MM_ID=y"."""
        first = ".".join(map(str, self.since))
        last = f"before {'.'.join(map(str, self.until))}" if self.until else "on"
        options = f", {', '.join(self.options)}" if self.options else ""
        return f"Linux from {first} {last}{options}"

    def __post_init__(self) -> None:
        for release in (self.since, self.until):
            if release is not None and [type(number) for number in release] != [int, int]:
                raise PluginError(f"Models: {release!r} is not a kernel release", "write (6, 15) for 6.15")
        if self.until is not None and self.until <= self.since:
            raise PluginError(f"Models: until={self.until} is not after since={self.since}", "swap the two")
        for option in self.options:
            name, equals, value = option.partition("=")
            if not (name.startswith("CONFIG_") and equals and value):
                raise PluginError(f"Models: {option!r} is not a kernel option", 'write it like "CONFIG_MM_ID=y"')
