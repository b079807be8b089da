"""List the kernels that guests can boot, and the policies that claim to model each."""

from __future__ import annotations

from typing import Final

from foliolab.framework.cli import _common

NAME: Final = "list"


def run(json: _common.Json = False, plugin: _common.Plugins = None, strict: _common.Strict = False) -> None:
    """List the running kernel and the kernels at hand: release, options, and the policies that claim to model each."""
    from foliolab.framework.kernel import running
    from foliolab.framework.kernel.images import store
    from foliolab.framework.report import kernellist
    from foliolab.framework.report.pages.plain_text import Plain

    found = _common.registry(plugin, strict)
    _common.warn(found)
    lines = kernellist.lines(running.read(), store.images(), found)
    if json:
        _common.print_json(kernellist.data(lines))
    else:
        kernellist.render(lines, Plain())
