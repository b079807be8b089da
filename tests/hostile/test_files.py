"""What a file may say, and ask for: everything else is refused in one sentence that names the file."""

from __future__ import annotations

import importlib
import json
import math
import os
import pkgutil
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import foliolab.framework
from foliolab.framework import cli, intake
from foliolab.framework.calibration import Calibration
from foliolab.framework.cli import _common
from foliolab.framework.cli.sweep import _numbers
from foliolab.framework.document import Document
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import FolioLabError, PluginError, ResultFileError, UsageError
from foliolab.framework.plugins import published
from foliolab.framework.plugins.selection import parse_memory, parse_ranges, parse_sizes
from foliolab.framework.report import formats, result_files
from foliolab.framework.results.comparison import compare
from foliolab.framework.results.result import MOST_CASES, Result
from foliolab.framework.scenario.parser import MAX_ITEMS, MAX_REGIONS, parse
from foliolab.framework.sweep.grid import with_parameters
from foliolab.framework.verify import ledger
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.laws import LAWS

sys.path.insert(0, str(Path(__file__).parent))

from valid_files import comparison, consequences, counterexample, encoded, findings, precise, sequence

DIGITS = "9" * 5000


def changed(document: msgspec.Struct, path: str, value: Any) -> bytes:
    """A file whose value at a path such as `config.sizes.0` is another one."""
    whole = json.loads(encoded(document))
    *before, last = path.split(".")
    place = whole
    for key in before:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[int(last) if isinstance(place, list) else last] = value
    return json.dumps(whole).encode()


def refused(data: bytes, folder: Path, kind: type[Document] | None = None) -> str:
    """The one sentence with which a file is refused."""
    path = folder / "given.json"
    path.write_bytes(data)
    with pytest.raises(ResultFileError) as caught:
        kind.load(path) if kind is not None else result_files.load(path)
    assert str(path) in caught.value.what and "\n" not in caught.value.what
    assert 1 <= caught.value.exit_code <= 4 and len(caught.value.what) < 500 + len(str(path))
    return caught.value.what


# -- every document ------------------------------------------------------------------------------------
def documents() -> list[type[Document]]:
    for found in pkgutil.walk_packages(foliolab.framework.__path__, "foliolab.framework."):
        if found.name.rpartition(".")[2] in ("result", "file", "verifier", "counterexample", "merging"):
            importlib.import_module(found.name)

    def below(kind: type[Document]) -> Iterator[type[Document]]:
        for one in kind.__subclasses__():
            if one.__module__.startswith("foliolab."):
                yield one
            yield from below(one)

    return list(dict.fromkeys(below(Document)))


def numbers(kind: Any, where: str, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """Every number in a type, with its place."""
    match kind:
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            yield where, kind
        case msgspec.inspect.StructType() | msgspec.inspect.DataclassType() if kind.cls not in seen:
            seen.add(kind.cls)
            for field in kind.fields:
                yield from numbers(field.type, f"{kind.cls.__name__}.{field.name}", seen)
        case msgspec.inspect.ListType():
            yield from numbers(kind.item_type, where, seen)
        case msgspec.inspect.DictType():
            yield from numbers(kind.value_type, where, seen)
        case msgspec.inspect.UnionType():
            for one in kind.types:
                yield from numbers(one, where, seen)
        case msgspec.inspect.TupleType():
            for one in kind.item_types:
                yield from numbers(one, where, seen)


def test_every_number_of_every_document_has_a_range() -> None:
    kinds = documents()
    assert {Result, Calibration, Counterexample} <= set(kinds) and len(kinds) > 8
    found = dict(pair for kind in kinds for pair in numbers(msgspec.inspect.type_info(kind), kind.__name__, set()))
    open_ended = {place for place, one in found.items() if (one.ge, one.gt) == (None, None) or one.le is None}
    # the cell itself checks these: above 0, and finite
    assert open_ended == {"BesideCell.samples", "Cell.samples", "Cell.counted"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("config.sizes.0", -16), ("config.sizes.0", 0), ("config.sizes.0", 10**18), ("config.memory", -1),
        ("config.repeats", -(10**9)), ("config.seed", 1 << 63), ("config.seed", -1), ("machine.cores", -4),
        ("machine.memory_bytes", 1 << 64), ("cells.0.size_kib", -16), ("cells.0.samples", [0.0]),
        ("cells.0.samples", [1.0] * 20_000), ("cells.0.status", "guessed"), ("cells.0.flagged", [7]),
        ("cells.0.policy", "another"), ("config.baseline", "another"), ("config.policies.1", "x" * 5000),
        ("config.policy_parameters", {"mm-id": {"slots": 10**30}}), ("schema", 10**30), ("schema", 2),
        ("kind", "other"), ("more", 1), ("cells.0.counted", {"atomics": "3"}), ("complete", "yes"),
    ],
)  # fmt: skip
def test_a_result_is_refused_for_a_value_out_of_range(path: str, value: Any, tmp_path: Path) -> None:
    refused(changed(comparison(), path, value), tmp_path)


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        (precise, "order", 1 << 62), (precise, "mms.0", -1), (precise, "points.0.events", 1 << 63),
        (precise, "workloads.0.recorded", 3), (consequences, "courses.0.outcomes.0.decisions", []),
        (consequences, "askers", []), (consequences, "askers.0.safe", 3),
        (consequences, "courses.0.outcomes.1.policy", "mm-id"),
        (consequences, "courses.0.outcomes.0.figures.0.name", "x"),
        (consequences, "courses.0.outcomes.0.figures.0.given", 1e308), (consequences, "courses.0.size", -4),
    ],
)  # fmt: skip
def test_a_study_is_refused_for_a_value_out_of_range(document: Any, path: str, value: Any, tmp_path: Path) -> None:
    refused(changed(document(), path, value), tmp_path)


def test_a_product_of_lists_is_refused_before_it_is_made(tmp_path: Path) -> None:
    many = changed(comparison(), "config.sizes", [16, 64, *range(1000, 1000 + MOST_CASES)])
    assert "cases and has 8 of them" in refused(many, tmp_path)


@pytest.mark.parametrize(
    "data",
    [b"", b"[", b"\xff\xfe", b"[]", b"null", b"3", b"[" * 100_000, b'{"kind": "compare"}', b'{"kind": "compare", "x": '
     + b"[" * 100_000, b'{"kind": "compare", "schema": ' + DIGITS.encode() + b"}"],
)  # fmt: skip
def test_what_is_no_document_is_refused(data: bytes, tmp_path: Path) -> None:
    refused(data, tmp_path)
    refused(data, tmp_path, Counterexample)


def test_a_missing_result_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match=r"there is no result file .*none\.json"):
        result_files.load(tmp_path / "none.json")


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 2048)
    assert len(intake.read(path, "file", most=2048)) == 2048
    with pytest.raises(ResultFileError, match="larger than 1 KiB, too large for a file"):
        intake.read(path, "file", most=1024)
    with pytest.raises(ResultFileError, match="larger than 1 MiB"):
        intake.read("/dev/zero", "file", most=1 << 20)
    with pytest.raises(ResultFileError, match="cannot be read: Is a directory"):
        intake.read(tmp_path, "file")
    with pytest.raises(ResultFileError, match="cannot be read: embedded null byte"):
        intake.read("a\0b", "file")
    assert intake.head(path, 3) == b"xxx" and intake.head(tmp_path, 3) == intake.head("a\0b", 3) == b""


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A second reading of a named pipe would wait for another writer for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for data, load in ((encoded(comparison()), result_files.load), (encoded(counterexample()), Counterexample.load)):
        writer = threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True)
        writer.start()
        found: list[Any] = []
        reader = threading.Thread(target=lambda load=load, found=found: found.append(load(pipe)), daemon=True)
        reader.start()
        reader.join(30)
        assert len(found) == 1


def test_times_that_differ_by_everything_have_a_finite_ratio() -> None:
    far = comparison()
    cells = [
        msgspec.structs.replace(cell, samples=[1e308 if cell.policy == "mm-id" else 1e-320] * 7) for cell in far.cells
    ]
    rows = compare(msgspec.structs.replace(far, cells=cells))
    assert all(row.ratio is None or math.isfinite(row.ratio) for row in rows)
    for form in ("md", "html", "csv"):
        assert formats.comparison_text(far, rows, [], form)


# -- counterexamples -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["nr_pages", "nr_mms", "nr_vpns", "nr_cpus", "max_order", "contents", "scratch"])
@pytest.mark.parametrize("value", [-1, 1 << 27, 1 << 44])
def test_no_machine_is_made_that_is_too_large(name: str, value: int, tmp_path: Path) -> None:
    assert name in refused(changed(counterexample(), f"shape.{name}", value), tmp_path, Counterexample)


def test_measures_that_are_too_large_together_are_refused(tmp_path: Path) -> None:
    shape = {"nr_pages": 1 << 20, "nr_mms": 1024, "nr_vpns": 1 << 20, "nr_cpus": 2}
    assert "MiB of memory" in refused(changed(counterexample(), "shape", shape), tmp_path, Counterexample)
    with_contents = {"nr_pages": 1 << 15, "nr_mms": 2, "nr_vpns": 8, "nr_cpus": 2, "contents": 1}
    assert "MiB of memory" in refused(changed(counterexample(), "shape", with_contents), tmp_path, Counterexample)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("law", "mapcuont", "there is no law 'mapcuont'"), ("claim", "saef", "there is no claim"),
        ("memory_model", "arm", "memory_model"), ("threads", [], "it has no thread"),
        ("threads", [["flush_gather"]] * 3, "3 threads do not fit on 2 processors"),
        ("threads", [["flush_gather"] * 20_000], "are too many"), ("shape", {}, "its machine lacks"),
        ("shape.pages", 3, "a machine has no 'pages'"), ("schedule", "7*3", "is not a turn"),
        ("schedule", f"0*{DIGITS}", "is not a turn"), ("schedule", "0*150000 1*99999", "more than 200,000 accesses"),
        ("setup.0", "__class__ x=1", "there is no operation '__class__'"), ("setup.0", "create", "lacks mm"),
        ("setup.0", "create mm=0 mm=1", "is not understood"), ("setup.0", f"create mm={DIGITS}", "is not understood"),
        ("setup.0", "create mm=2", "there is no mm 2"), ("setup.0", "create mm=-1", "there is no mm -1"),
        ("setup.2", "file_folio order=3", "there is no order 3"),
        ("threads.0.0", "unmap mm=0 start=8 nr=1", "no start 8"),
        ("threads.0.0", "drop_file pfn=16", "there is no pfn 16"), ("threads.0.0", "exit mm=0 flush=7", "no flush 7"),
        ("policy", "x" * 5000, "policy"), ("plugins", "x.py", "plugins"),
    ],
)  # fmt: skip
def test_a_counterexample_of_what_does_not_exist_is_refused(path: str, value: Any, said: str, tmp_path: Path) -> None:
    assert said in refused(changed(counterexample(), path, value), tmp_path, Counterexample)


def test_good_counterexamples_of_every_law_are_read() -> None:
    for law in LAWS:
        scenario = "scenario x" if law == "expectation" else ""
        for one in (counterexample(law=law, scenario=scenario), sequence()):
            assert Counterexample.decode(encoded(one), "x") == one


def test_an_operation_says_what_it_lacks() -> None:
    with pytest.raises(UsageError, match="lacks child"):
        Operation.parse("fork parent=0")
    assert Operation.parse("fork child=1 parent=0").get("child") == 1


# -- other files ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "row",
    ["nan", "inf", "-inf", "1e300", "true", '"2"', "[1]", "1" + "0" * 400, DIGITS, "[" * 5000, "2]\nnote = 3\nx = [2",
     "2]\n'\\u001b[2J' = [1"],
)  # fmt: skip
def test_figures_that_are_none_stop_their_file_only(row: str) -> None:
    text = f'[[table]]\nsource = "s"\nmachine = ""\nbaseline = "b"\nworkload = "w"\nsizes = [16]\npercent.p = [{row}]\n'
    with pytest.raises(PluginError, match=r"^f\.toml") as caught:
        published.parse(text, "f.toml")
    assert "\x1b" not in caught.value.what and len(caught.value.what) < 400
    assert published.parse(text.replace(f"[{row}]", "[2]"), "f.toml")[0].percent == 2


def test_a_broken_file_of_figures_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from foliolab.framework.plugins import registry

    found = registry.load()
    whole = len(found.published_figures())
    for number, data in enumerate(
        (b"\xff", b"a." * 500 + b"b = 1", b"x" * (published.MOST_BYTES + 1), b"[[table]]\n" * 9)
    ):
        (tmp_path / f"{number}.toml").write_bytes(data)
        found.published[str(number)] = tmp_path / f"{number}.toml"
    found.published["none"] = tmp_path / "none.toml"
    assert len(found.published_figures()) == whole > 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5 and all(str(tmp_path) in line for line in said)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"schema": 9}', b'{"schema": "2", "records": []}', b'{"schema": 2, "records": {}}', b"[" * 100_000,
     findings().replace(b'"held"', b'"kept"'), findings().replace(b'"mm-id"', b"7"),
     findings().replace(b'"attack"', b'"by"')],
)  # fmt: skip
def test_findings_that_are_none_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_bytes(data)
    with pytest.raises(ResultFileError, match=r"findings\.json"):
        ledger.load(tmp_path / "findings.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [("operations.0.points.0.kernel", 0.0), ("operations.0.points.0.sd", -1.0), ("operations.0.points.0.size_kib", 0),
     ("operations.0.points.0.model", 1e300), ("seed", -1), ("bench.memory", -1)],
)  # fmt: skip
def test_a_calibration_out_of_range_is_refused(path: str, value: Any, tmp_path: Path) -> None:
    from foliolab.framework import calibration

    sizes = (16, 64, 256)
    kernel, model = comparison(sizes, "kernel-bench", ("linux",)), comparison(sizes)
    values = dict(model.config.policy_parameters["mm-id"])
    made = calibration.calibrate(kernel, model, "mm-id", values, True)
    assert Calibration.decode(encoded(made), "x") == made
    refused(changed(made, path, value), tmp_path, Calibration)


HEAD = "scenario s\nregion heap: 1 x 64K\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scenario s\n" + "".join(f"region r{i}: 1 x 4K\n" for i in range(MAX_REGIONS + 1)), "more than 64 regions"),
        (HEAD + "A: read heap[0]\n" * (MAX_ITEMS + 1), "are too many"),
        ("scenario s\nregion heap: 128 x 2M pmd\n" + "A: write heap\n" * 5, "are too many"),
        ("scenario s\nregion heap: 128 x 2M pmd\n" + "".join(f"A: fork B{i}\n" for i in range(63)), "are too many"),
        (f"scenario s\nregion heap: 1 x {DIGITS}K\n", "is not the size"),
        (f"scenario s\nregion heap: {DIGITS} x 4K\n", "is not a number of folios"),
        (HEAD + "A: write heap[99999999999999999999]\n", "is not pages"),
    ],
)  # fmt: skip
def test_a_scenario_that_asks_for_too_much_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(text, "x.scenario")


def test_a_long_heading_is_read_in_linear_time() -> None:
    assert len(parse("scenario s\n" + "| x\n" * 100_000 + "region heap: 1 x 4K\n").text) == 100_000


# -- what is typed -------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", [DIGITS, f"{DIGITS}M", "١٢٣", "-4K", "4K" * 4000, "99999999999T"])
def test_amounts_beyond_all_machines_are_refused(text: str) -> None:
    for parse_it in (parse_memory, parse_sizes):
        with pytest.raises(UsageError) as caught:
            parse_it(text)
        assert len(caught.value.what) < 200


def test_lists_are_bounded_before_they_are_made() -> None:
    for text in (f"1-{DIGITS}", "1-99999999999", "3--4", "-3"):
        with pytest.raises(UsageError, match="is not a number"):
            parse_ranges(text, "a number", "1-3")
    with pytest.raises(UsageError, match="not a list of numbers"):
        _numbers(["1", DIGITS])
    ten = ",".join(map(str, range(10)))
    with pytest.raises(UsageError, match="makes 10,000 policies"):
        with_parameters(["mm-id"], [f"mm-id:p{i}={ten}" for i in range(4)])


def test_bytes_that_are_no_text_are_written_with_backslashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["foliolab", "report", os.fsdecode(b"\xff.json")])
    assert "\\udcff" in _common.typed() and _common.typed().encode()
    odd = msgspec.structs.replace(comparison(), command=os.fsdecode(b"\xff"), versions={os.fsdecode(b"\xfe"): "1"})
    odd.save(tmp_path / "odd.json")
    assert Result.load(tmp_path / "odd.json").command == "\\udcff"


@pytest.mark.parametrize("name", ["x" * 5000 + ".json", os.fsdecode(b"\xff\xfe.json"), "\x1b[2J.json", ""])
def test_any_name_is_taken_or_refused_in_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    good = tmp_path / "good.json"
    good.write_bytes(encoded(comparison()))
    for words in (["report", name], ["step", name], ["diff", name, str(good)], ["run", name], ["replay", name]):
        for more in ([], ["--plugin", name]) if words[0] in ("report", "step") else ([],):
            monkeypatch.setattr(sys, "argv", ["foliolab", *words, *more])
            with pytest.raises(SystemExit) as left:
                cli.main()
            said = capsys.readouterr().err
            assert left.value.code in (1, 2, 3, 4) and "unexpected" not in said and "Traceback" not in said, words


@pytest.mark.parametrize("path", ["none/x.json", ".", "good.json/x", "x" * 5000, "/dev/full/x", "/proc/x"])
def test_a_place_that_cannot_be_written_is_one_sentence(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.json").write_bytes(encoded(comparison()))
    monkeypatch.setattr(sys, "argv", ["foliolab", "report", "good.json", "--format", "csv", "-o", path])
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr().err
    assert left.value.code in (1, 2) and re.match(r"foliolab: .+ cannot be written: ", said), said


def test_an_error_of_the_host_that_no_verb_foresees_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._unexpected(PermissionError(13, "Permission denied", "/root/x.json")) == 2
    assert capsys.readouterr().err.startswith("foliolab: /root/x.json: Permission denied\n")
    assert cli._unexpected(ValueError("a defect")) == 1
    assert "unexpected ValueError" in capsys.readouterr().err


def test_an_error_of_a_block_names_its_file() -> None:
    with pytest.raises(FolioLabError, match=r"^a\.json: what$"), intake.named("a.json"):
        raise FolioLabError("what")
    with pytest.raises(FolioLabError, match=r"^in a\.json$"), intake.named("a.json"):
        raise FolioLabError("in a.json")
