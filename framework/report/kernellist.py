"""`foliolab kernel list`: kernels, their options, and the policies that claim to model them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.report.pages.plain_text import Plain

if TYPE_CHECKING:
    from foliolab.framework.kernel.images.store import Image
    from foliolab.framework.kernel.running import Running
    from foliolab.framework.plugins.registry import Registry

SCHEMA: Final = 1
HUGEPAGES: Final = "CONFIG_TRANSPARENT_HUGEPAGE"
GET: Final = "`foliolab kernel get 6.12` fetches one"


@dataclass(frozen=True)
class Line:
    """One kernel of the list.

    Attributes:
        name: of the kernel.
        options: that matter, as its configuration says.
        policies: that claim to model it.
        configurations: what patch series call it (`plugins.configurations`), such as Base.
        origin: where its image comes from; empty for the running kernel.
        megabytes: of its image.
    """

    name: str
    options: str
    policies: tuple[str, ...]
    configurations: tuple[str, ...] = ()
    origin: str = ""
    megabytes: float = 0.0


def lines(running: Running, images: Sequence[Image], found: Registry) -> list[Line]:
    """A line for the running kernel, if it is Linux, and for each image."""
    named = found.configurations()

    def line(name: str, kernel: Running, origin: str = "", megabytes: float = 0.0) -> Line:
        claims = _claims(kernel, found)
        configurations = tuple(one.name for one in named if one.policy in claims)
        return Line(name, _options(kernel), claims, configurations, origin, megabytes)

    made = [line(running.release, running)] if running.release else []
    return made + [line(image.name, image.kernel, image.origin, image.bytes / 1e6) for image in images]


def render(made: Sequence[Line], out: Plain) -> None:
    """Print the list, the running kernel first."""
    width = max((len(line.name) for line in made), default=0) + 2
    for line in made:
        where = f"{line.megabytes:.0f} MB, {line.origin}" if line.origin else "the running kernel"
        out.line(f"{line.name.ljust(width)}{where}", "strong")
        out.item("·", line.options)
        names = f" ({', '.join(line.configurations)} in the series' tables)" if line.configurations else ""
        claims = f"modelled by {', '.join(line.policies)}{names}"
        out.item("·", claims if line.policies else "no policy claims to model it")
    if not any(line.origin for line in made):
        out.line(f"No kernel for guests is at hand; {GET}.")


def data(made: Sequence[Line]) -> dict[str, Any]:
    """What `foliolab kernel list --json` prints: the lines of the list, with SCHEMA."""
    return {
        "schema": SCHEMA,
        "kernels": [
            {
                "name": line.name,
                "running": not line.origin,
                "options": line.options,
                "policies": list(line.policies),
                "configurations": list(line.configurations),
                "origin": line.origin,
                "megabytes": round(line.megabytes, 1),
            }
            for line in made
        ],
    }


def _options(kernel: Running) -> str:
    huge = kernel.sets(HUGEPAGES)
    if huge is None:
        return kernel.tracking
    return f"{HUGEPAGES}={'y' if huge else 'n'}, {kernel.tracking}"


def _claims(kernel: Running, found: Registry) -> tuple[str, ...]:
    return tuple(one.name for one in found.policies.values() if kernel.behaves_as(one.models))
