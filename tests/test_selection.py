"""What users write to choose policies, workloads, folio sizes and amounts of memory."""

from __future__ import annotations

import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.plugins.registry import Registry, load, parse_memory, parse_sizes


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def test_a_policy_with_parameters(registry: Registry) -> None:
    scheme = registry.policy("page-mapcount:large_mapcount=0, batched=0")
    assert dict(scheme.values) == {"large_mapcount": 0, "batched": 0}


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("mm-ix", "there is no policy 'mm-ix'", "mm-id"),
        ("MM-ID", "there is no policy 'MM-ID'", "mm-id"),
        ("", "there is no policy ''", "policies are"),
        ("exact:mmm=4", "has no parameter 'mmm'", "did you mean mms"),
        ("no-page-mapcount:slots=3", "has no parameter 'slots'", "it has none"),
        ("mm-id-slots:slots=9", "slots=9 is out of range", "choose 1 to 8"),
        ("exact:mms", "'mms' is not a parameter's value", "exact:name=value"),
        ("exact:mms=x", "exact: mms=x is out of range", "2 to 4096"),
        ("exact:mms=1", "exact: mms=1 is out of range", "2 to 4096"),
        ("exact:mms=4,mms=5", "mms is given twice", ""),
    ],
)
def test_a_policy_that_cannot_be(registry: Registry, text: str, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as fault:
        registry.policy(text)
    assert what in fault.value.what
    assert hint in fault.value.hint


def test_lists_of_policies(registry: Registry) -> None:
    texts = ["mm-id,page-mapcount:large_mapcount=0,batched=0,exact", "no-page-mapcount"]
    assert [s.name for s in registry.parse_policies(texts)] == [
        "mm-id", "page-mapcount:large_mapcount=0,batched=0", "exact", "no-page-mapcount",
    ]  # fmt: skip
    assert [s.name for s in registry.parse_policies(["all"])] == list(registry.policies)
    for bad in (["mms=3"], ["mm-id,mms=3"], ["mm-id", "mm-id"], [","]):
        with pytest.raises(UsageError):
            registry.parse_policies(bad)


def test_lists_of_workloads(registry: Registry) -> None:
    assert [w.name for w in registry.parse_workloads(["fork,munmap", "fork"])] == ["fork", "munmap"]
    assert {w.name for w in registry.parse_workloads(["all"])} == set(registry.workloads)
    with pytest.raises(UsageError) as fault:
        registry.parse_workloads(["munmpa"])
    assert "munmap" in fault.value.hint


def test_folio_sizes() -> None:
    assert parse_sizes(["16K,4k", "2M", "64KiB", "16kB"]) == [0, 2, 4, 9]
    assert parse_sizes("all") == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    assert parse_sizes("4096") == [0]
    assert parse_sizes("4M", allowed=(9, 10)) == [10]


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("8K", "no anonymous folios of order 1", "nearest: 4K, 16K"),
        ("24K", "not a power of two", "nearest: 16K, 32K"),
        ("2K", "not a power of two of 4K and more", "nearest: 4K"),
        ("0K", "not a power of two", "nearest: 4K"),
        ("4M", "too large: the largest is 2M", "nearest: 1M, 2M"),
        ("1000000T", "not a power of two", "2M"),
        ("16", "has no unit", "16K"),
        ("big", "'big' is not a folio size", "64K"),
        ("-4K", "'-4K' is not a folio size", "64K"),
        ("", "no folio size is named", "4K, 16K"),
    ],
)
def test_folio_sizes_that_cannot_be(text: str, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as fault:
        parse_sizes(text)
    assert what in fault.value.what
    assert hint in fault.value.hint


def test_amounts_of_memory() -> None:
    assert parse_memory("1G") == 1 << 30
    assert parse_memory(" 64 MiB ") == 64 << 20
    assert parse_memory("67108864") == 64 << 20
    for bad in ("64", "1.5G", "G", "0G", "5000", "many", "1G1"):
        with pytest.raises(UsageError):
            parse_memory(bad)
