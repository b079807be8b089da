"""The running kernel: its release, its configuration, the policy that models it."""

from __future__ import annotations

import gzip
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.contract.models import Models
from foliolab.framework.errors import PluginError
from foliolab.framework.kernel import running
from foliolab.framework.kernel.running import Running
from foliolab.framework.plugins.registry import Registry, load

KEPT = {"CONFIG_MM_ID": "y", "CONFIG_PAGE_MAPCOUNT": "y"}
DROPPED = {"CONFIG_MM_ID": "y", "CONFIG_NO_PAGE_MAPCOUNT": "y"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "release", lambda: "6.15.3-test")
    monkeypatch.setattr(running, "PROC", tmp_path / "proc")
    monkeypatch.setattr(running, "BOOT", tmp_path / "boot")
    (tmp_path / "proc").mkdir()
    (tmp_path / "boot").mkdir()
    running.read.cache_clear()
    yield tmp_path
    running.read.cache_clear()


@pytest.mark.parametrize(
    ("release", "options", "policy"),
    [
        ("6.9.12", {}, None),
        ("6.10.0", {}, "page-mapcount"),
        ("6.14.11-generic", {"CONFIG_THP": "y"}, "page-mapcount"),
        ("6.15.0-rc1", KEPT, "mm-id"),
        ("6.18.44-fc", KEPT, "mm-id"),
        ("7.2.1", DROPPED, "no-page-mapcount"),
        ("6.15.0", {"CONFIG_PAGE_MAPCOUNT": "y"}, None),
        ("", {}, None),
        ("unknown", KEPT, None),
    ],
)
def test_the_policy_of_a_kernel(registry: Registry, release: str, options: dict[str, str], policy: str | None) -> None:
    found = running.matching(registry, Running(release, options))
    assert (found.name if found else None) == policy


@given(
    st.tuples(st.integers(5, 8), st.integers(0, 30)),
    st.dictionaries(st.sampled_from([*KEPT, *DROPPED]), st.sampled_from("ynm")),
)
def test_no_kernel_is_modelled_by_two_unless_it_says_both(version: tuple[int, int], options: dict[str, str]) -> None:
    kernel = Running(f"{version[0]}.{version[1]}.0", options)
    models = [p.models for p in load().policies.values() if p.models is not None and kernel.behaves_as(p.models)]
    contradictory = options.get("CONFIG_PAGE_MAPCOUNT") == options.get("CONFIG_NO_PAGE_MAPCOUNT") == "y"
    assert len(models) <= 1 + contradictory


def test_an_option_that_must_not_be_set() -> None:
    without = Models((6, 1), options=("CONFIG_X=n",))
    assert Running("6.1.0", {}).behaves_as(without)
    assert not Running("6.1.0", {"CONFIG_X": "y"}).behaves_as(without)


@pytest.mark.parametrize("until", [(6, 15), (6, 14), (5, 99)])
def test_no_kernel_at_all_is_refused(until: tuple[int, int]) -> None:
    with pytest.raises(PluginError, match="is not after"):
        Models((6, 15), until)


@pytest.mark.parametrize("release", [(6,), (6, 15, 1), (6, "15"), (6.0, 15)])
def test_what_is_no_release_is_refused(release: Any) -> None:
    with pytest.raises(PluginError, match="is not a kernel release"):
        Models(release)


def test_a_policy_that_names_kernels_in_another_way_is_refused() -> None:
    policy: Any = load().policies["exact"]
    with pytest.raises(PluginError, match=r"policy exact: models is '6.15'"):
        replace(policy, models="6.15")


@pytest.mark.parametrize("option", ["MM_ID=y", "CONFIG_MM_ID", "CONFIG_MM_ID=", ""])
def test_what_is_no_option_is_refused(option: str) -> None:
    with pytest.raises(PluginError, match="is not a kernel option"):
        Models((6, 15), options=(option,))


# -- where the configuration comes from ----------------------------------------------------------------
TEXT = "# comment\nCONFIG_MM_ID=y\n# CONFIG_PAGE_MAPCOUNT is not set\nCONFIG_NO_PAGE_MAPCOUNT=y\nCONFIG_HZ=1000\n"


def test_from_proc(machine: Path, registry: Registry) -> None:
    (machine / "proc/config.gz").write_bytes(gzip.compress(TEXT.encode()))
    (machine / "boot/config-6.15.3-test").write_text("CONFIG_PAGE_MAPCOUNT=y\nCONFIG_MM_ID=y\n")
    kernel = running.read()
    assert (kernel.release, kernel.version, kernel.note) == ("6.15.3-test", (6, 15), "")
    assert kernel.options == {"CONFIG_MM_ID": "y", "CONFIG_NO_PAGE_MAPCOUNT": "y", "CONFIG_HZ": "1000"}
    assert kernel.source == str(machine / "proc/config.gz")
    found = running.matching(registry)
    assert found is not None and found.name == "no-page-mapcount"


@pytest.mark.parametrize(
    "damaged",
    [b"", b"no gzip", gzip.compress(TEXT.encode())[:-9], gzip.compress(b"\xff\xfe")],
    ids=["empty", "no-gzip", "cut-off", "not-utf-8"],
)
def test_from_boot_where_proc_has_none_or_a_damaged_one(machine: Path, damaged: bytes) -> None:
    (machine / "boot/config-6.15.3-test").write_text(TEXT)
    assert running.read().source == str(machine / "boot/config-6.15.3-test")
    running.read.cache_clear()
    (machine / "proc/config.gz").write_bytes(damaged)
    assert (running.read().options or {})["CONFIG_HZ"] == "1000"


def test_damaged_in_the_middle(machine: Path) -> None:
    data = bytearray(gzip.compress(TEXT.encode() * 50))
    data[20:40] = bytes(20)
    (machine / "proc/config.gz").write_bytes(bytes(data))
    assert running.read().source == ""


def test_without_any_its_options_are_unknown(machine: Path, registry: Registry) -> None:
    kernel = running.read()
    assert kernel.options is None and kernel.source == ""
    assert kernel.note == "the configuration of 6.15.3-test cannot be read, so its options are unknown"
    assert kernel.described == "Linux 6.15.3-test (configuration unknown)"
    assert kernel.sets("CONFIG_MM_ID") is None
    assert running.matching(registry) is None  # two policies may model it, and nothing says which


def test_a_release_alone_is_enough_for_a_policy_that_names_no_options(registry: Registry) -> None:
    found = running.matching(registry, Running("6.12.117+deb13-cloud-amd64", None))
    assert found is not None and found.name == "page-mapcount"
    unknown = Running("6.15.0", None)
    models = [policy.models for policy in registry.policies.values() if policy.models is not None]
    assert sum(unknown.may_behave_as(one) for one in models) == 2 and not any(map(unknown.behaves_as, models))


def test_elsewhere_than_on_linux(machine: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert running.read() == Running("", {})
    assert running.read().note == ""
    assert running.matching(registry) is None
