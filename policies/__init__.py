"""The schemes that ship with FolioLab, and callers, askers and detectors around them, by the public contract."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from foliolab.framework.api import Asker, Detector, Policy, hookimpl
from foliolab.framework.operations import Caller
from foliolab.policies import askers, callers, detectors

MODULES = (
    "page_mapcount",
    "estimated_sharers",
    "likely_mapped_shared",
    "mm_id_v1",
    "mm_id",
    "mm_id_slots",
    "no_page_mapcount",
    "total_mapped_pages",
    "rmap_id",
    "vma_pagetable",
    "owner_vma",
    "exact",
)


@hookimpl
def foliolab_policies() -> Iterable[Policy]:
    """The built-in policies."""
    return [import_module(f"foliolab.policies.{name}").POLICY for name in MODULES]


@hookimpl
def foliolab_detectors() -> Iterable[Detector]:
    """The built-in designs that detect partially mapped folios."""
    return list(detectors.DETECTORS)


@hookimpl
def foliolab_callers() -> Iterable[Caller]:
    """Operations of the kernel in other texts."""
    return list(callers.CALLERS)


@hookimpl
def foliolab_askers() -> Iterable[Asker]:
    """Who asks policies whether folios are shared, for `foliolab consequences`."""
    return list(askers.ASKERS)


@hookimpl
def foliolab_findings() -> Iterable[str]:
    """What `foliolab verify --all --save-findings` found about these policies' texts."""
    return [str(Path(__file__).with_name("findings.json"))]


@hookimpl
def foliolab_witnesses() -> Iterable[str]:
    """The kernels that `foliolab kernel check --save-witnesses` held these policies' texts against."""
    return [str(Path(__file__).with_name("witnesses.json"))]
