"""`foliolab run`: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.kernel import needs, probe, settings

Run = Callable[..., Any]

TEXT = """\
scenario two-slots
| The third stays. It is alone.
by mm-id

region heap: 1 x 16K pte

A: fork B
A: fork C
A: exit
B: exit
C: expect heap[0-3] owners 1
C: write heap[0] -> {outcome}
expect reused by exact
"""
GOOD = TEXT.format(outcome="copied")
BAD = TEXT.format(outcome="reused")


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "x.scenario"
        path.write_text(text)
        return path

    return write


# -- what it prints ----------------------------------------------------------------------------------
def test_it_runs_the_policies_that_the_scenario_names(foliolab: Run, file: Any) -> None:
    done = foliolab("run", file(GOOD))
    assert (done.code, done.err) == (0, "")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "line step owners mm-id exact" in lines
    assert "8 A: fork C 3 shared shared" in lines
    assert "10 B: exit 1 ▲ false shared exclusive" in lines
    assert "12 C: write heap[0] copied reused" in lines
    assert "3 of 3 expectations hold." in lines
    assert "False shared: 2 of 5 verdicts of mm-id." in lines


def test_an_expectation_that_fails_is_told_with_its_line(foliolab: Run, file: Any) -> None:
    path = file(BAD)
    done = foliolab("run", path)
    assert done.code == 1
    assert f"Failed: {path}:12: mm-id: expected reused, found copied (after C: write heap[0])\n" in done.out
    assert "2 of 3 expectations hold, 1 failed.\n" in done.out


def test_an_unsafe_policy_is_told_in_words_and_by_a_sign(foliolab: Run, file: Any) -> None:
    text = "scenario x\nregion heap: 1 x 16K\nA: fork B\nA: munmap heap[0]\nB: munmap heap[1-3]\n"
    done = foliolab("run", file(text), "--policy", "page-mapcount")
    assert done.code == 0
    assert "✗ unsafe" in done.out
    assert "Unsafe: 1 of 3 verdicts of page-mapcount." in done.out


def test_what_the_terminal_cannot_show_is_ascii(process: Run, file: Any) -> None:
    done = process("run", str(file(GOOD)), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "^ false shared" in done.stdout
    assert done.stdout.isascii()


def test_chosen_policies(foliolab: Run, file: Any) -> None:
    done = foliolab("run", file(BAD), "--policy", "exact,rmap-id:stage=batch,batched=0")
    assert done.code == 0  # what is expected of mm-id concerns none of them
    assert "1 of 1 expectations hold." in done.out
    assert foliolab("run", file(BAD), "--policy", "mm-id").code == 1


def test_interpreted_and_native_print_the_same(foliolab: Run, file: Any) -> None:
    interpreted = foliolab("run", file(GOOD), "--interpreted").out
    assert interpreted == foliolab("run", file(GOOD), "--native").out == foliolab("run", file(GOOD)).out


def test_several_end_with_a_summary(foliolab: Run, file: Any) -> None:
    done = foliolab("run", file(BAD), "third-stays")
    assert done.code == 1
    assert "\n2 scenarios: 1 good, 1 bad\n  bad: two-slots\n" in done.out


def test_by_name_and_all(foliolab: Run) -> None:
    assert foliolab("run", "third-stays").code == 0
    listed = foliolab("run")
    assert listed.code == 0
    names = [line.split()[0] for line in listed.out.splitlines()[1:]]
    assert {"third-stays", "server-snapshot", "cow-basic"} <= set(names)
    every = foliolab("run", "all")
    assert every.code == 0
    assert f"\n{len(names)} scenarios: {len(names)} good, 0 bad\n" in every.out


def test_they_are_listed(foliolab: Run) -> None:
    done = foliolab("list")
    assert "\n  third-stays  " in done.out
    assert "two slots, three processes" in done.out.lower()
    assert " scenarios" in done.out
    (one,) = [s for s in json.loads(foliolab("list", "--json").out)["scenarios"] if s["name"] == "third-stays"]
    assert one["summary"].startswith("Two slots")
    assert Path(one["file"]).name == "third-stays.scenario"


def test_json(foliolab: Run, file: Any, tmp_path: Path) -> None:
    assert foliolab("run", file(BAD), "--json", tmp_path / "out.json").code == 1
    (found,) = json.loads((tmp_path / "out.json").read_text())["scenarios"]
    assert (found["name"], found["good"], found["kernel"], found["skipped"]) == ("two-slots", False, None, "")
    assert found["steps"][4] == {"line": 12, "step": "C: write heap[0]"}
    (failure,) = found["policies"]["mm-id"]["failures"]
    assert failure == {"line": 12, "expected": "reused", "found": "copied", "step": "C: write heap[0]"}
    last = found["policies"]["mm-id"]["steps"][3]
    assert last["folios"][0]["kind"] == "false shared"
    assert found["policies"]["exact"]["steps"][4]["outcomes"] == ["reused"]


# -- the formatter -----------------------------------------------------------------------------------
def test_format(foliolab: Run, file: Any) -> None:
    ugly = GOOD.replace("A: fork B", "A:   fork   B  # first").replace("heap[0-3]", "heap")
    path = file(ugly)
    done = foliolab("run", "--format", path)
    assert done.code == 0
    assert done.out == GOOD.replace("A: fork B", f"{'A: fork B':<40}  # first")
    assert path.read_text() == ugly
    assert foliolab("run", "--format", "--write", path).out == ""
    assert path.read_text() == done.out
    before = path.stat().st_mtime_ns
    assert foliolab("run", "--format", "--write", path).code == 0
    assert path.stat().st_mtime_ns == before


def test_standard_input(file: Any) -> None:
    command = [sys.executable, "-P", "-m", "foliolab.framework.cli", "run", "-"]
    done = subprocess.run(command, input=BAD, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    assert "Failed: <stdin>:12: " in done.stdout
    done = subprocess.run([*command, "--format"], input=GOOD, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout) == (0, GOOD)
    done = subprocess.run(
        [*command, "--format", "--write"], input=GOOD, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 2


# -- what goes wrong ---------------------------------------------------------------------------------
def test_bad_files(foliolab: Run, file: Any, tmp_path: Path) -> None:
    path = file(GOOD.replace("fork C", "frok C"))
    done = foliolab("run", path)
    assert (done.code, done.out) == (2, "")
    assert f"{path}:8:4: there is no action 'frok'\n" in done.err
    assert "there are fork, thread, exec" in done.err
    for data in (b"", b"\x00\xff", b"#" * (2 << 20)):
        path.write_bytes(data)
        assert foliolab("run", path).code == 2
    done = foliolab("run", tmp_path / "none.scenario")
    assert done.code == 2
    assert "cannot be read: No such file or directory" in done.err
    assert foliolab("run", tmp_path).code == 2


def test_one_bad_file_stops_all_before_anything_runs(foliolab: Run, file: Any) -> None:
    done = foliolab("run", "third-stays", file("nonsense"))
    assert (done.code, done.out) == (2, "")


def test_unknown_names(foliolab: Run, file: Any) -> None:
    done = foliolab("run", "third-stay")
    assert done.code == 2
    assert "there is no scenario 'third-stay'" in done.err
    assert "third-stays" in done.err
    done = foliolab("run", file(GOOD.replace("by exact", "by exakt")))
    assert done.code == 2
    assert "there is no policy 'exakt'" in done.err
    assert "x.scenario" in done.err
    assert foliolab("run", "third-stays", "--policy", "none").code == 2
    assert foliolab("run", "third-stays", "--on", "moon").code == 2
    assert foliolab("run", "third-stays", "--write").code == 2
    assert foliolab("run", "third-stays", "--json", "/nowhere/x.json").code == 1  # it ran, and is not on disk


def test_a_plugin_brings_scenarios(foliolab: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.scenario").write_text(GOOD)
    plugin = tmp_path / "plugin.py"
    hook = "from foliolab.framework.api import hookimpl\n@hookimpl\ndef foliolab_scenarios():\n    return [{}]\n"
    plugin.write_text(hook.format(repr(str(tmp_path))))
    assert foliolab("run", "mine", "--plugin", plugin).code == 0
    assert "  mine  " in foliolab("list", "--plugin", plugin).out
    for given, said in (
        ("'/nowhere/x.scenario'", "which is no scenario file"),
        ("1", "yields a int (1), not a str or PathLike"),
        (repr(__file__), "does not have a scenario's name"),
    ):
        plugin.write_text(hook.format(given))
        assert said in foliolab("list", "--plugin", plugin).out
    (tmp_path / "third-stays.scenario").write_text(GOOD)
    plugin.write_text(hook.format(repr(str(tmp_path))))
    done = foliolab("list", "--plugin", plugin)
    assert "scenario 'third-stays' of" in done.out
    assert "is already given by" in done.out


DIVIDES = """
from dataclasses import replace

from foliolab.framework.api import load
from foliolab.policies import mm_id


def shared(folio):
    return 3 // (load(folio._mm_id[0]) * 0) == 1


HOOKS = replace(mm_id.POLICY.hooks, maybe_mapped_shared=shared)
POLICY = replace(mm_id.POLICY, name="divides", models=None, mutants=None, hooks=HOOKS)
"""
DIVIDES_IN_A_FORK = """
from foliolab.framework.operations import Caller, copy_present_ptes


def fork(vm, contents, cpu, zone, parent, child, vpn, end, value):
    return vpn // (vpn - vpn)


CALLER = Caller(name="divides", summary="divides by 0", replace=((copy_present_ptes, fork),))
"""


@pytest.mark.parametrize(
    ("text", "options"),
    [(DIVIDES, ("--policy", "divides")), (DIVIDES_IN_A_FORK, ("--policy", "mm-id", "--caller", "divides"))],
)
def test_what_a_plugin_raises_is_the_plugins_fault(
    foliolab: Run, tmp_path: Path, text: str, options: tuple[str, ...]
) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(text)
    done = foliolab("run", "third-stays", "--plugin", plugin, *options)
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "//" in one)
    assert done.code == 4
    assert done.err.startswith(f"foliolab: {plugin}:{line}: ZeroDivisionError: ")
    assert "report it" not in done.err


@pytest.mark.skipif(sys.platform != "linux", reason="there is no other kernel to ask")
def test_without_root_sizes_that_are_switched_off_are_left_out_with_the_reason(
    foliolab: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(settings, "resolved_mode", lambda kib: "never")
    monkeypatch.setattr(settings, "sizes", lambda: [16])
    done = foliolab("run", "third-stays", "--on", "kernel")
    assert done.code == 3
    assert "folios of 16 KiB are switched off, and cannot be switched on (root: user id 1000" in done.out
    done = foliolab("run", "third-stays", "--on", "both")
    assert done.code == 0
    assert "11 of 11 expectations hold" in done.out and "switched off" in done.out


def test_not_on_linux(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    done = foliolab("run", "third-stays", "--on", "kernel")
    assert done.code == 3
    assert "this is Darwin" in done.err


# -- on the running kernel ---------------------------------------------------------------------------
def missing() -> str:
    """Why scenarios cannot run on this kernel."""
    for name in ("Linux", *needs.ALWAYS):
        if not (found := probe.capability(name)).available:
            return f"{name}: {found.reason}"
    return ""


on_kernel = pytest.mark.skipif(bool(missing()), reason=missing() or "it can")


@on_kernel
@pytest.mark.host
@pytest.mark.slow
def test_on_both(foliolab: Run, file: Any, tmp_path: Path) -> None:
    done = foliolab("run", file(GOOD), "--on", "both", "--wait", "100", "--json", tmp_path / "out.json")
    if "is using the THP settings of this host" in done.err:
        pytest.skip(done.err)
    (found,) = json.loads((tmp_path / "out.json").read_text())["scenarios"]
    if not found["kernel"]["model"]:
        pytest.skip("no policy models this kernel")
    assert done.code == 0
    assert "kernel" in done.out
    assert f"did what {found['kernel']['model']} says in 5 of 5 steps." in done.out
    assert found["kernel"]["steps"][4]["outcomes"] == ["copied"]
    assert found["differences"] == []


@on_kernel
@pytest.mark.host
@pytest.mark.slow
def test_a_scenario_that_needs_swap_is_skipped_where_there_is_none(foliolab: Run) -> None:
    if probe.capability("swap").available:
        pytest.skip("there is swap")
    done = foliolab("run", "swapped-out-and-in", "--on", "kernel", "--wait", "100")
    if "is using the THP settings of this host" in done.err:
        pytest.skip(done.err)
    assert done.code == 3
    assert "Not run on this kernel: it needs swap: no swap is active" in done.out


@on_kernel
@pytest.mark.host
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    """Neither settings nor processes."""
    with settings.exclusive(100):
        before = {path: path.read_text() for path in settings.switches().values()}
    command = [
        sys.executable,
        "-P",
        "-m",
        "foliolab.framework.cli",
        "run",
        *(["all"] * 20),
        "--on",
        "both",
        "--wait",
        "100",
    ]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, start_new_session=True)
        end = time.monotonic() + 120
        while b"kernel" not in (tmp_path / "out").read_bytes() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(number)
        said = process.communicate(timeout=120)[1].decode()
    if "is using the THP settings of this host" in said:
        pytest.skip(said)
    assert process.returncode == (130 if number == signal.SIGINT else 143), said
    assert "Traceback" not in said
    with settings.exclusive(100):  # nobody else changes them meanwhile
        assert {path: path.read_text() for path in settings.switches().values()} == before
    assert not _session(process.pid)


def _session(leader: int) -> list[int]:
    """Processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


# -- steps at once -----------------------------------------------------------------------------------
AT_ONCE = """\
scenario x
by mm-id
region heap: 1 x 16K pte
A: fork B
at once
  A: write heap[0] -> reused
  B: exit
end
"""


def test_the_interleaving_that_breaks_an_expectation_is_shown_and_saved(
    foliolab: Run, file: Any, tmp_path: Path
) -> None:
    kept = tmp_path / "x.json"
    done = foliolab("run", file(AT_ONCE), "--save-interleaving", kept)
    assert done.code == 1
    assert "reused or copied" in done.out and "mm-id: 2 outcomes of every interleaving" in done.out
    assert "expected reused, found copied" in done.out and "thread 1" in done.out
    assert f"foliolab step {kept}" in done.err
    stepped = foliolab("step", kept, "--dump")
    assert stepped.code == 1 and "the law `expectation` is broken" in stepped.out
    done = foliolab("run", file(AT_ONCE.replace(" -> reused", "")), "--save-interleaving", kept)
    assert done.code == 0 and "no interleaving of steps at once breaks an expectation" in done.err


def test_a_scenario_with_steps_at_once_is_a_program_to_verify(foliolab: Run, file: Any, tmp_path: Path) -> None:
    limits = ("--attacks", "explored", "--jobs", "0", "--budget", "5", "--output", tmp_path)
    done = foliolab("verify", "mm-id", "--program", file(AT_ONCE), *limits)
    assert "every interleaving of 1 program" in done.out
