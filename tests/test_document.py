"""Stored documents: unknown keys are refused at every depth, so that a file is never half understood."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import msgspec.inspect
import pytest

from foliolab.framework.document import Document
from foliolab.framework.errors import ResultFileError
from foliolab.framework.verify import ledger
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.verifier import Verdicts, Verification

FRAMEWORK = Path(__file__).parents[1] / "framework"


def documents(kind: type[Document] = Document) -> Iterator[type[Document]]:
    """Every kind of document, of every module that declares one."""
    if kind is Document:
        for path in sorted(FRAMEWORK.rglob("*.py")):
            if "Document" in path.read_text("utf-8"):
                module = ".".join(path.relative_to(FRAMEWORK).with_suffix("").parts).removesuffix(".__init__")
                importlib.import_module(f"foliolab.framework.{module}")
    for one in kind.__subclasses__():
        yield one
        yield from documents(one)


def lenient(found: object, seen: set[type]) -> Iterator[str]:
    """The types below a type of msgspec that take unknown keys."""
    if isinstance(found, (msgspec.inspect.StructType, msgspec.inspect.DataclassType)):
        if found.cls in seen:
            return
        seen.add(found.cls)
        if not getattr(found, "forbid_unknown_fields", False):
            yield found.cls.__name__
    parts = found if isinstance(found, tuple) else vars_of(found)
    for part in parts:
        yield from lenient(part, seen)


def vars_of(found: object) -> list[object]:
    if not isinstance(found, (msgspec.inspect.Type, msgspec.inspect.Field)):
        return []
    return [getattr(found, name) for name in found.__struct_fields__]


def test_no_document_takes_unknown_keys_at_any_depth() -> None:
    kinds = list(documents())
    assert {"Result", "Verdicts", "Counterexample", "Calibration", "ReplayResult"} <= {one.__name__ for one in kinds}
    assert {one.__name__: [*lenient(msgspec.inspect.type_info(one), set())] for one in kinds} == {
        one.__name__: [] for one in kinds
    }


def test_a_finding_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    verification = Verification(
        policy="mm-id", digest="0", claims=["safe"], findings=[Finding("random", "safe", "held", "some")],
        interrupted=False, seconds=1.0, started="2026-01-01T00:00:00",
    )  # fmt: skip
    whole = json.loads(msgspec.json.encode(Verdicts(verifications=[verification])))
    Verdicts.decode(json.dumps(whole).encode(), "a file")
    whole["verifications"][0]["findings"][0]["later"] = 1
    with pytest.raises(ResultFileError, match=r"a file is not .*verifications\[0\].findings\[0\].*later"):
        Verdicts.decode(json.dumps(whole).encode(), "a file")


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_kept_verdicts_with_an_unknown_key_are_refused(depth: int, tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    verdict = ledger.KeptVerdict("safe", "held", "2026-01-01")
    ledger.save([ledger.TextRecord("mm-id", "0", (verdict,))], path)
    assert len(ledger.load(path)) == 1
    data = json.loads(path.read_text())
    [data, data["records"][0], data["records"][0]["verdicts"][0]][depth]["later"] = 1
    path.write_text(json.dumps(data))
    with pytest.raises(ResultFileError, match=f"{path} are damaged: .*later"):
        ledger.load(path)
