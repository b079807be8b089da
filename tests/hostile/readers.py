"""Every reader of a file that somebody else may have written."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import lzma
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from valid_files import (
    FIGURES_TOML,
    FTRACE,
    PERF_TRACE,
    SCENARIO,
    beginning,
    comparison,
    consequences,
    counterexample,
    encoded,
    findings,
    precise,
    sequence,
    trace,
    witnesses,
)

from foliolab.framework import calibration, cli
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.plugins import published, registry


@dataclass(frozen=True)
class Reader:
    """A reader.

    Args:
        suffix: of its files.
        seeds: valid files.
        read: takes a file.
        share: of the mutations that other readers get; less for one that takes seconds.
    """

    name: str
    suffix: str
    seeds: Sequence[bytes]
    read: Callable[[Path], None]
    share: float = 1.0


def foliolab(*words: object) -> None:
    """A command, in this process."""
    sys.argv = ["foliolab", *map(str, words)]
    cli.main()


def warm(folder: Path) -> None:
    """Load the plugins and native code once for all commands of this process.

    The children of a jail inherit both. Without native code each child would compile within the processor time that its
    reader has.
    """
    found, load = registry.load(), registry.load
    Machine(found.policy("mm-id"), Shape(64, 2, 64, max_order=2), "native").create(0)
    registry.load = lambda files=(), strict=False: load(files, strict) if files else found  # type: ignore[assignment]
    seed = folder / "warm.folio"
    seed.write_bytes(trace(folder))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        _replay(seed)


def _with(path: Path, name: str, data: bytes) -> Path:
    """Another file in the folder of the one that is read."""
    other = path.with_name(name)
    if not other.exists():
        other.write_bytes(data)
    return other


def _witnesses(path: Path) -> None:
    from foliolab.framework.kernel import witnesses

    assert all(one.text for record in witnesses.load(path) for one in record.witnesses)


def _ledger(path: Path) -> None:
    from foliolab.framework.verify import ledger

    for record in ledger.load(path):
        assert all(verdict.text and verdict.headline for verdict in record.verdicts)


def _published(path: Path) -> None:
    from foliolab.framework.report import formats
    from foliolab.framework.results.comparison import compare

    figures = published.load(path)
    result = comparison()
    rows = compare(result, published=figures, resolve=registry.load().parameters_of)
    formats.comparison_text(result, rows, [], "md")


def _calibration(path: Path) -> None:
    from foliolab.framework.calibration import prediction
    from foliolab.framework.report import calibration as report
    from foliolab.framework.report.comparison import csvfile, terminal
    from foliolab.framework.report.pages.document import DocumentPage
    from foliolab.framework.results.comparison import compare

    found = calibration.Calibration.load(path)
    result = comparison()
    rows = compare(result)
    forecast = prediction.predict(result, rows, found, lambda policy: True)
    report.render(found, DocumentPage())
    terminal.render(result, rows, DocumentPage(), forecast)
    csvfile.write(rows, path.with_suffix(".csv"), forecast)


THP_STATE: Final = b"""{
 "pid": 1,
 "time": "2026-01-01T00:00:00+00:00",
 "values": {"hugepages-64kB/enabled": "madvise", "hugepages-2048kB/enabled": "inherit", "enabled": "always"}
}
"""


def _thp_state(path: Path) -> None:
    """What `kernel restore` reads, as far as no setting is changed."""
    from foliolab.framework.kernel import settings

    settings.state_file = lambda: path
    settings._put_back = lambda values: []
    settings.switches = lambda: (
        {64: settings.THP / "hugepages-64kB/enabled", 0: settings.THP / "enabled"}
        | {2048: settings.THP / "hugepages-2048kB/enabled"}
    )
    settings._restore_leftover()


POLICY: Final = b'''"""A policy."""
from dataclasses import replace
from foliolab.framework.api import atomic_read
from foliolab.policies import mm_id

LIMIT = 1


def maybe_mapped_shared(folio):
    return atomic_read(folio._large_mapcount) + 1 > LIMIT


POLICY = replace(mm_id.POLICY, name="mine", hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared))
'''


def _policy_text(path: Path) -> None:
    """The text of a policy's file, parsed and compiled as a plugin's is, but not run; and as the window shows it."""
    from foliolab.framework.plugins import declaration, discovery
    from foliolab.framework.report.functions import function_at

    class Parsed:
        __file__ = str(path)

    declaration.location_in(Parsed, "mine")
    function_at(str(path), 10)
    loader = discovery._FreshLoader("input", str(path))

    def parse(attempt: discovery.Attempt) -> None:
        loader.get_code("input")

    failure = discovery.Attempt(discovery.source_of(path)).run(parse)
    if failure is not None:
        sys.stderr.write(f"foliolab: {failure.message}\n")
        raise SystemExit(4)


WINDOW: Final = """
import sys
from pathlib import Path
from readers import window
window(Path(sys.argv[1]))
"""


def window(path: Path) -> None:
    """The window with a file of settings, which has its layouts and its last session; closing it writes the file."""
    from PySide6.QtCore import QSettings
    from PySide6.QtWidgets import QApplication

    from foliolab.gui.application import make
    from foliolab.gui.window.settings import Settings

    application = QApplication.instance() or QApplication(["foliolab", "-platform", "offscreen"])
    assert isinstance(application, QApplication)
    made = make(application, [], Settings(QSettings(str(path), QSettings.Format.IniFormat)))
    made.show()
    application.processEvents()
    made.close()
    made.deleteLater()
    application.processEvents()


def window_settings(folder: Path) -> list[bytes]:
    """The settings that a window leaves; none where there is no Qt. Qt starts in a process of its own."""
    path = folder / "window.ini"
    words = [sys.executable, "-c", WINDOW, str(path)]
    subprocess.run(words, cwd=Path(__file__).parent, check=False, capture_output=True, timeout=300)
    return [path.read_bytes()] if path.is_file() else []


def _verdicts(path: Path) -> None:
    from foliolab.framework.sweep import merging

    merging.verdict_rows(merging.verified([path], ""))


def _costs(path: Path) -> None:
    from foliolab.framework.replay.costs import load_costs

    load_costs(path)


def all_readers(folder: Path) -> list[Reader]:
    """Every reader.

    Args:
        folder: for what the seeds are made of.
    """
    kernel = comparison(policies=("linux",), kind="kernel-bench", sizes=(16, 64, 128, 256))
    model = comparison(sizes=(16, 64, 128, 256))
    values = dict(registry.load().policy("mm-id").values)
    calibrated = encoded(calibration.calibrate(kernel, model, "mm-id", values, True))
    from foliolab.framework.verify.finding import Finding
    from foliolab.framework.verify.verifier import Verdicts, Verification

    finding = Finding("explored", "safe", "refuted", "2 threads", counterexample(), 10, 0.5)
    verification = Verification(
        policy="mm-id",
        digest="0",
        claims=["safe"],
        findings=[finding],
        interrupted=False,
        seconds=1.0,
        started="2026-01-01T00:00:00",
    )
    compared, studies = encoded(comparison()), [encoded(precise()), encoded(consequences())]
    formats = ("md", "html", "csv", "svg")
    settings = window_settings(folder)
    made = [
        Reader(
            f"report {form}", ".json", [compared, *(studies if form != "svg" else [])], functools.partial(_report, form)
        )
        for form in formats
    ]
    return [
        *made,
        Reader("diff", ".json", [compared, *studies], _diff),
        Reader(
            "step",
            ".json",
            [encoded(counterexample()), encoded(sequence())],
            lambda path: foliolab("step", "--dump", path),
        ),
        Reader("run", ".scenario", [SCENARIO], lambda path: foliolab("run", path)),
        Reader("run --format", ".scenario", [SCENARIO], lambda path: foliolab("run", "--format", path)),
        Reader("published figures", ".toml", [FIGURES_TOML], _published),
        Reader("calibration", ".json", [calibrated], _calibration),
        Reader("kernel calibrate", ".json", [encoded(kernel), encoded(model)], _calibrate),
        Reader("findings", ".json", [findings()], _ledger),
        Reader("witnesses", ".json", [witnesses()], _witnesses),
        Reader("verdicts", ".json", [encoded(Verdicts(verifications=[verification]))], _verdicts),
        Reader("costs", ".json", [compared], _costs),
        Reader("kernel restore", ".json", [THP_STATE], _thp_state),
        Reader("policy's text", ".py", [POLICY], _policy_text),
        *([Reader("window's settings", ".ini", settings, window, share=0.05)] if settings else []),
        Reader("import strace", ".txt", [beginning("phases.strace.txt", 80)], _import("strace")),
        Reader("import perf", ".txt", [beginning("phases.perf.txt", 80)], _import("perf")),
        Reader("import ftrace", ".txt", [FTRACE], _import("ftrace")),
        Reader("import perf-trace", ".txt", [PERF_TRACE], _import("perf-trace")),
        Reader("import bpftrace", ".txt", [beginning("phases.bpftrace.txt", 80)], _import("bpftrace")),
        Reader("import snapshots", ".txt", [beginning("phases.snapshots.jsonl", 12)], _import("snapshots")),
        Reader("import", ".txt", [beginning("phases.strace.txt", 30), beginning("phases.perf.txt", 30)], _import("")),
        Reader("import compressed", ".gz", [gzip.compress(FTRACE), lzma.compress(PERF_TRACE)], _import("")),
        Reader(
            "replay",
            ".folio",
            [trace(folder)],
            _replay,
        ),
    ]


def _replay(path: Path) -> None:
    foliolab("replay", path, "--policies", "mm-id", "--samples", 5)


def _report(form: str, path: Path) -> None:
    foliolab("report", path, "--format", form, "-o", path.with_suffix(f".{form}"))


def _diff(path: Path) -> None:
    whole = path.read_bytes()
    kinds = {b'"precision"': precise, b'"consequences"': consequences}
    make = next((kind for word, kind in kinds.items() if word in whole[:200]), comparison)
    foliolab("diff", path, _with(path, f"good-{make.__name__}.json", encoded(make())))


def _calibrate(path: Path) -> None:
    bench = b"kernel-bench" in path.read_bytes()[:300]
    other = (
        comparison(sizes=(16, 64, 128, 256))
        if bench
        else comparison(policies=("linux",), kind="kernel-bench", sizes=(16, 64, 128, 256))
    )
    beside = _with(path, f"good-{bench}.json", encoded(other))
    both = (path, beside) if bench else (beside, path)
    foliolab("kernel", "calibrate", *both, "--policy", "mm-id", "--out", path.with_name("out.json"))


def _import(form: str) -> Callable[[Path], None]:
    words = ("--format", form) if form else ()
    return lambda path: foliolab("import", path, "-o", path.with_suffix(".folio"), *words)
