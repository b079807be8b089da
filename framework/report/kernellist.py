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
        origin: where its image comes from; empty for the running kernel.
        megabytes: of its image.
    """

    name: str
    options: str
    policies: tuple[str, ...]
    origin: str = ""
    megabytes: float = 0.0


def lines(running: Running, images: Sequence[Image], found: Registry) -> list[Line]:
    """A line for the running kernel, if it is Linux, and for each image."""
    made = [Line(running.release, _options(running), _claims(running, found))] if running.release else []
    for image in images:
        kernel = image.kernel
        made.append(Line(image.name, _options(kernel), _claims(kernel, found), image.origin, image.bytes / 1e6))
    return made


def render(made: Sequence[Line], out: Plain) -> None:
    """Print the list, the running kernel first."""
    width = max((len(line.name) for line in made), default=0) + 2
    for line in made:
        where = f"{line.megabytes:.0f} MB, {line.origin}" if line.origin else "the running kernel"
        out.line(f"{line.name.ljust(width)}{where}", "strong")
        out.item("·", line.options)
        out.item("·", f"modelled by {', '.join(line.policies)}" if line.policies else "no policy claims to model it")
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
