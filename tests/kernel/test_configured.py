"""Names of configurations, such as Base: the kernels at hand that they mean, and where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guestbench
from foliolab.framework.kernel.images.configured import configuration, configured, difference
from foliolab.framework.kernel.images.store import BUILT, Image
from foliolab.framework.plugins.registry import Registry, load

MM_ID = {"CONFIG_MM_ID": "y", "CONFIG_PAGE_MAPCOUNT": "y", "CONFIG_SWAP": "y"}
NO_MAPCOUNT = {"CONFIG_MM_ID": "y", "CONFIG_NO_PAGE_MAPCOUNT": "y"}


def image(release: str, options: dict[str, str] | None, origin: str = "Debian") -> Image:
    return Image(release, Path("vmlinuz"), options, origin=origin, release=release)


THERE = [
    image("6.1.0-50", {}), image("6.11.2", {}), image("6.12.117", {}), image("6.19.14", None),
    image("7.2.12", MM_ID), image("7.3.4", MM_ID), image("7.2.1-no-page-mapcount", NO_MAPCOUNT, BUILT),
]  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


@pytest.mark.parametrize(
    ("name", "shown", "release"),
    [
        ("Base", "Base", "6.12.117"),
        ("bASE", "Base", "6.12.117"),
        ("page-mapcount", "Base", "6.12.117"),
        ("MM-ID", "MM-ID", "7.3.4"),
        ("No-Mapcount", "No-Mapcount", "7.2.1-no-page-mapcount"),
        ("no-mc", "No-Mapcount", "7.2.1-no-page-mapcount"),
    ],
)
def test_a_name_means_a_kernel_by_its_own_configuration(
    registry: Registry, name: str, shown: str, release: str
) -> None:
    wanted = configuration(name, registry)
    assert wanted is not None
    found = configured(wanted, registry, THERE)
    assert (found.name, found.release, found.kernel.release) == (shown, release, release)


def test_a_kernel_that_was_built_here_comes_first(registry: Registry) -> None:
    wanted = configuration("MM-ID", registry)
    assert wanted is not None
    found = configured(wanted, registry, [*THERE, image("7.0.1-mine", MM_ID, f"{BUILT}a tree")])
    assert found.release == "7.0.1-mine"


@pytest.mark.parametrize("name", ["6.12", "exact", "", "Bas", "No", "mm-id-v1"])
def test_other_names_mean_none(registry: Registry, name: str) -> None:
    assert configuration(name, registry) is None


def test_where_there_is_none_the_command_that_gets_one_is_told(registry: Registry) -> None:
    wanted = configuration("No-Mapcount", registry)
    assert wanted is not None
    with pytest.raises(
        KernelError, match=r"no kernel at hand is known to be No-Mapcount.*6\.19\.14 are unknown"
    ) as why:
        configured(wanted, registry, THERE[:-1])
    assert why.value.hint == "`foliolab kernel build debian:7.3 --set CONFIG_NO_PAGE_MAPCOUNT=y`"
    with pytest.raises(KernelError, match=r"which no-page-mapcount models: Linux from 6\.15 on, CONFIG_MM_ID=y"):
        configured(wanted, registry, [])


def test_what_two_kernels_differ_in_is_told() -> None:
    base, mm_id, none = (image(release, options) for release, options in
                         (("6.12.1", {}), ("7.3.4", MM_ID), ("7.3.5", NO_MAPCOUNT)))  # fmt: skip
    assert difference(base, mm_id) == (
        "6.12.1 and 7.3.4 differ in releases (6.12.1, 7.3.4) and 3 options: whole kernels are compared"
    )
    assert "differ in 3 options" in difference(mm_id, none) and "not known" in difference(base, image("6.12.2", None))


def test_the_figures_of_a_series_stand_under_its_names(registry: Registry) -> None:
    images = []
    for name in ("Base", "No-Mapcount"):
        wanted = configuration(name, registry)
        assert wanted is not None
        images.append(configured(wanted, registry, THERE))
    found = guestbench.published([*images, image("6.19.14", None)], registry)
    assert {(one.baseline, one.policy) for one in found} == {("Base", "No-Mapcount")}
    assert {one.percent for one in found if (one.workload, one.size_kib) == ("munmap", 2048)} == {-31}
    assert guestbench.published(images[::-1], registry) == []
