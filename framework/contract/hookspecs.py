"""The pluggy hooks: how declarations reach FolioLab. They register; nothing of them is on a hot path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import pluggy

from foliolab.framework.contract.policy import Policy
from foliolab.framework.contract.sharing_pattern import SharingPattern
from foliolab.framework.contract.trace_reader import TraceReader
from foliolab.framework.contract.workload import Workload

GROUP: Final = "foliolab"
Hook = TypeVar("Hook", bound=Callable[..., Any])

_spec: Final = pluggy.HookspecMarker(GROUP)
_impl: Final = pluggy.HookimplMarker(GROUP)


def hookimpl(function: Hook) -> Hook:
    """Mark a plugin's function as the implementation of the hook of its name."""
    return _impl(function)


class Hooks:
    """What a plugin may implement, as module-level functions marked with `hookimpl`."""

    @_spec
    def foliolab_policies(self) -> Iterable[Policy]:  # type: ignore[empty-body]
        """The policies that the plugin offers."""

    @_spec
    def foliolab_workloads(self) -> Iterable[Workload]:  # type: ignore[empty-body]
        """The workloads that the plugin offers."""

    @_spec
    def foliolab_sharing_patterns(self) -> Iterable[SharingPattern]:  # type: ignore[empty-body]
        """The sharing patterns that the plugin offers, for `foliolab precision`."""

    @_spec
    def foliolab_published(self) -> Iterable[str]:  # type: ignore[empty-body]
        """Paths of TOML files with published figures (format: `foliolab.framework.results.published`)."""

    @_spec
    def foliolab_scenarios(self) -> Iterable[str]:  # type: ignore[empty-body]
        """Paths of scenario files (NAME.scenario), or of folders that hold them."""

    @_spec
    def foliolab_findings(self) -> Iterable[str]:  # type: ignore[empty-body]
        """Paths of files that `foliolab verify --save-findings` wrote about the plugin's policies."""

    @_spec
    def foliolab_reporters(self) -> Iterable[object]:  # type: ignore[empty-body]
        """Ways to render a result."""

    @_spec
    def foliolab_trace_readers(self) -> Iterable[TraceReader]:  # type: ignore[empty-body]
        """Readers of what tracers write, for `foliolab import`."""

    @_spec
    def foliolab_views(self) -> Iterable[object]:  # type: ignore[empty-body]
        """Views of the desktop program."""
