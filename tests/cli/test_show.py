"""`foliolab show`: the drawing, and what it is computed from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.anatomy import atomics
from foliolab.framework.anatomy.layout import anatomy, cost, struct_page
from foliolab.framework.cli import _common
from foliolab.framework.kernel.witnesses import Witnesses
from foliolab.framework.plugins.registry import Registry, load
from foliolab.framework.verify.ledger import Ledger

Run = Callable[..., Any]
GOLDEN = Path(__file__).with_name("show_mm_id.txt")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def test_the_drawing_of_mm_id(foliolab: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After a change on purpose: put what `foliolab show mm-id` prints into show_mm_id.txt, and read the diff.

    What `verify` found, here or before it was shipped, is no part of the drawing, and neither are kernels.
    """
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path))
    monkeypatch.setattr(_common, "ledger", lambda found: Ledger())
    monkeypatch.setattr(_common, "witnesses", lambda found: Witnesses({}))
    done = foliolab("show", "mm-id")
    assert (done.code, done.err) == (0, "")
    assert done.out == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize(
    "policy",
    [
        "page-mapcount",
        "estimated-sharers",
        "likely-mapped-shared:version=6.9",
        "owner-vma",
        "mm-id-slots:slots=3",
        "mm-id-v1",
        "mm-id",
        "no-page-mapcount",
        "total-mapped-pages",
        "rmap-id",
        "exact",
        "exact:mms=4096",
    ],
)
@pytest.mark.parametrize("order", ["1", "2", "9"])
def test_every_policy_can_be_drawn(foliolab: Run, policy: str, order: str) -> None:
    done = foliolab("show", policy, "--order", order)
    assert (done.code, done.err) == (0, "")
    assert "cannot be counted" not in done.out
    assert max(map(len, done.out.splitlines())) < 160
    assert json.loads(foliolab("show", policy, "--order", order, "--json").out)["policy"] == policy


def test_wrong_questions(foliolab: Run, plugins: Any, tmp_path: Path) -> None:
    done = foliolab("show", "mm-idd")
    assert done.code == 2
    assert done.err == "foliolab: there is no policy 'mm-idd'\n  did you mean mm-id or mm-id-v1 or rmap-id?\n"
    assert foliolab("show", "mm-id", "--order", "0").code == 2
    assert foliolab("show", "mm-id", "--order", "13").code == 2
    assert foliolab("show", "mm-id:x=1").code == 2
    bad = plugins.write(tmp_path, "overlap")
    done = foliolab("show", "overlap", "--plugin", bad)
    assert done.code == 4
    assert "overlaps _mapcount_1" in done.err
    done = foliolab("show", "mm-id", "--plugin", bad)
    assert done.code == 0
    assert done.err.startswith("foliolab: plugin overlap failed and is left out")


def test_a_file_plugin_can_be_drawn(foliolab: Run, plugins: Any, tmp_path: Path) -> None:
    done = foliolab("show", "good", "--plugin", plugins.write_good(tmp_path))
    assert done.code == 0
    assert "│■ _word u64" in done.out


def test_what_stays_free(registry: Registry) -> None:
    """Specification 1.1 (<= 6.14) leaves 36 to 47 and memcg_data; 2.1 and 2.2 use all but 4 bytes."""
    assert struct_page(registry.policy("page-mapcount"), 1).free == ((36, 48), (56, 64))
    assert struct_page(registry.policy("mm-id-v1"), 1).free == ((60, 64),)
    assert struct_page(registry.policy("mm-id"), 1).free == ((60, 64),)
    assert struct_page(registry.policy("no-page-mapcount"), 1).free == ((20, 24), (60, 64))
    assert struct_page(registry.policy("mm-id"), 0).free == ()


def test_boxes_and_free_bytes_fill_every_struct_page(registry: Registry) -> None:
    for scheme in registry.parse_policies(["all"]):
        for page in anatomy(scheme, 4).pages:
            sizes = [box.size for box in page.boxes]
            assert sum(sizes) + page.free_bytes == page.size, (scheme.name, page.number)


def test_what_an_order_1_folio_lacks(registry: Registry) -> None:
    assert anatomy(registry.policy("mm-id")).absent_1 == ("_deferred_list",)
    assert "_rmap_val" in anatomy(registry.policy("rmap-id")).absent_1


def test_memory(registry: Registry) -> None:
    mm_id = registry.policy("mm-id")
    # 28 bytes a folio (three counters, two slots), 4 a page
    assert [cost(mm_id, order).bits for order in (0, 2, 9)] == [0, 8 * (28 + 4 * 4), 8 * (28 + 4 * 512)]
    assert cost(mm_id, 9).extra == 0
    assert cost(registry.policy("no-page-mapcount"), 9).bits == 8 * 24
    # 4096 counters of 4 bytes behind each of the 4 struct pages
    assert cost(registry.policy("exact:mms=4096"), 2).extra == 4 * 4 * 4096


@pytest.mark.parametrize(
    ("policy", "new", "dup", "remove", "last", "add"),
    [
        # specification 1.4, batches of n = 16
        ("page-mapcount:batched=0", 0, 17, 17, 33, 33),
        ("page-mapcount", 0, 17, 17, 18, 18),
        ("mm-id", 0, 17, 17, 18, 18),
        ("no-page-mapcount", 0, 1, 1, 1, 1),
    ],
)
def test_atomics_are_those_of_the_specification(
    registry: Registry, policy: str, new: int, dup: int, remove: int, last: int, add: int
) -> None:
    found = {one.name: one for one in atomics.operations(registry.policy(policy), 4) if one.level == "PTE"}
    counted = [
        found[name].atomics
        for name in (
            "new anonymous folio",
            "dup (fork)",
            "remove, others stay (child unmaps)",
            "remove, the last mapping",
            "add, the first mapping (file)",
        )
    ]
    assert counted == [new, dup, remove, last, add]
    assert found["dup (fork)"].locks == (0 if policy.startswith("page") else 1)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("store(folio._wrd, 1)", "struct folio has no field '_wrd'"),
        ("nr // (nr - nr)", "ZeroDivisionError"),
        ("\n    while True: pass", "did not end within 0.5 s"),
    ],
)
def test_a_hook_that_breaks_while_it_is_counted_is_named(
    foliolab: Run, plugins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, says: str
) -> None:
    monkeypatch.setattr(atomics, "SECONDS", 0.5)
    path = plugins.write_good(tmp_path)
    text = "from foliolab.framework.api import store\n" + path.read_text()
    path.write_text(
        text.replace("def dup_ptes(folio, page, nr, mm): pass", f"def dup_ptes(folio, page, nr, mm): {body}")
    )
    done = foliolab("show", "good", "--plugin", path)
    assert done.code == 0
    (line,) = [line for line in done.out.splitlines() if "cannot be counted" in line]
    assert line.strip().startswith("dup (fork)")
    assert f"cannot be counted: {path}:" in line
    assert says in line
