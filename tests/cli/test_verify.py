"""`foliolab verify`: its options, the report, the files, the exit codes; attacks are made up but for one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import ExitCode
from foliolab.framework.verify import attacks, ledger
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.verifier import Verdicts

Run = Callable[..., Any]

FORKED = Counterexample(
    policy="never",
    attack="made-up",
    law="safe",
    claim="safe",
    message="folio 0: called exclusive, 2 MMs map it",
    shape={"nr_pages": 16, "nr_mms": 3, "nr_vpns": 8, "max_order": 2},
    threads=[["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1"]],
)


@dataclass
class MadeUp:
    """An attack that knows its answers."""

    name: str
    findings: list[Finding] = field(default_factory=list)
    seen: list[Budget] = field(default_factory=list)
    interrupts: bool = False

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        self.seen.append(budget)
        tell(Progress(self.name, "looking", states=3))
        if self.interrupts:
            raise KeyboardInterrupt
        return [one for one in self.findings if one.claim in (OWED, *scheme.capabilities)]


def finding(claim: str, verdict: Any, bound: str = "all of it", example: Counterexample | None = None) -> Finding:
    return Finding("made-up", claim, verdict, bound, example)


REFUTED = finding("safe", "refuted", "a fork", FORKED)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plugin(plugins: Any, tmp_path: Path) -> Path:
    written: Path = plugins.write_never(tmp_path)
    return written


@pytest.fixture
def attack(monkeypatch: pytest.MonkeyPatch) -> Callable[..., MadeUp]:
    """The only attack there is, with these findings."""

    def make(*findings: Finding, interrupts: bool = False) -> MadeUp:
        made = MadeUp("made-up", list(findings), interrupts=interrupts)
        monkeypatch.setattr(attacks, "chosen", lambda *about: [made])
        return made

    return make


def test_what_holds(foliolab: Run, attack: Callable[..., MadeUp]) -> None:
    made = attack(*(finding(name, "held", "12 programs") for name in ("safe", "reuse", OWED)))
    done = foliolab(
        "verify", "page-mapcount", "mm-id", "--jobs", "0", "--budget", "7", "--memory", "64M", "--seed", "5"
    )
    assert (done.code, done.err) == (ExitCode.UNDECIDED, "")
    assert [(one.memory, one.seed) for one in made.seen] == [(64 << 20, 5)] * 2
    assert 0 < made.seen[0].seconds <= 7
    assert "maybe_mapped_shared never calls a folio exclusive that several MMs map" in done.out
    assert "  ✓ made-up, held: safe, reuse, (every policy)\n      12 programs\n" in done.out
    assert "UNDECIDED: exact-for-two, page-mapcount, partial-mapping, pmd: no attack" in done.out
    assert "Policies and their claims" in done.out, "of several policies"
    assert not Path("counterexamples").exists()


RACE = msgspec.structs.replace(
    FORKED,
    shape=FORKED.shape | {"nr_cpus": 2},
    setup=["create mm=0 mm_id=1", "create mm=1 mm_id=2", "file_folio order=2"],
    threads=[[f"map_file mm={mm} vpn=0 pfn=0 nr=1", f"unmap mm={mm} start=0 nr=1"] for mm in (0, 1)],
    schedule="0*1",
)


def test_the_program_of_a_counterexample_is_explored_under_any_policy(foliolab: Run, tmp_path: Path) -> None:
    RACE.save(tmp_path / "race.json")
    # it ends when all is explored, long before the budget
    done = foliolab("verify", "mm-id", "--program", "race.json", "--jobs", "0", "--budget", "600", "--json", "v.json")
    assert done.code == ExitCode.UNDECIDED, "claims that the explored attack does not examine"
    assert "✓ explored, held: (every policy), exact-for-two, page-mapcount, partial-mapping, reuse, safe" in done.out
    assert "every interleaving of 1 program: race.json" in done.out and "pairs:" not in done.out
    assert all(one.states < 10_000 for one in Verdicts.load("v.json").verifications[0].findings)
    assert not Path("data").exists() or "race.json" not in foliolab("show", "mm-id").out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--attacks", "random"], "what the explored attack explores"),
        (["--save-findings", "f.json"], "no finding about a policy"),
        ([], "has one thread"),
    ],
)
def test_what_is_no_program_is_refused(foliolab: Run, tmp_path: Path, more: list[str], said: str) -> None:
    (RACE if more else FORKED).save(tmp_path / "it.json")
    done = foliolab("verify", "mm-id", "--program", "it.json", *more)
    assert done.code == ExitCode.USAGE and said in done.err


def test_a_claim_that_no_attack_decides_has_its_exit_code_and_files(
    foliolab: Run, attack: Callable[..., MadeUp]
) -> None:
    claims = ("safe", "reuse", OWED, "exact-for-two", "page-mapcount", "partial-mapping", "pmd")
    attack(*(finding(name, "held", "9") for name in claims))
    files = ("--sarif", "v.sarif", "--junit", "v.xml")
    assert foliolab("verify", "mm-id", "--jobs", "0", *files).code == ExitCode.GOOD
    assert {one["kind"] for one in json.loads(Path("v.sarif").read_text())["runs"][0]["results"]} == {"pass"}
    attack(*(finding(name, "held", "9") for name in claims[:-1]))
    assert foliolab("verify", "mm-id", "--jobs", "0", *files).code == ExitCode.UNDECIDED
    assert 'errors="1"' in Path("v.xml").read_text() and 'name="pmd"' in Path("v.xml").read_text()
    assert foliolab("verify", "mm-id", "--junit", "no/such/file").code == ExitCode.USAGE


def test_a_refuted_claim_comes_with_its_counterexample(
    foliolab: Run, attack: Callable[..., MadeUp], plugin: Path, tmp_path: Path
) -> None:
    attack(REFUTED, finding("reuse", "undecided", "no time"))
    shipped = foliolab("list").out.count("safe refuted")
    done = foliolab("verify", "--plugin", plugin, "--jobs", "0", "--json", "all.json", "--save-findings", "found.json")
    assert done.code == 1
    assert "Refuted: claim safe, by made-up\n  folio 0: called exclusive, 2 MMs map it\n" in done.out
    assert "✗ the law `safe` is broken: never called exclusive while several MMs map it" in done.out
    assert "fork parent=0 child=1" in done.out and "_mm_ids: id1 0 → 2, shared 0 → 1" in done.out
    assert "written to counterexamples/never-safe.json\n" in done.out
    assert f"foliolab step counterexamples/never-safe.json --plugin {plugin}\n" in done.out
    written = Counterexample.load("counterexamples/never-safe.json")
    assert (written.plugin, written.threads) == (str(plugin), FORKED.threads)
    assert written.digest and written.command.startswith("foliolab verify --plugin")
    assert Verdicts.load("all.json").refuted
    assert ledger.load("found.json")[0].verdicts != ()

    listed = foliolab("list", "--plugin", plugin).out
    assert "\n                         ✗ safe refuted by made-up: folio 0: called exclusive" in listed
    assert "\n                           verify, " in listed and ", FolioLab " in listed and ", verifier " in listed
    assert foliolab("list").out.count("safe refuted") == shipped, "it stands beside that policy alone"
    found = json.loads(foliolab("list", "--json", "--plugin", plugin).out)
    assert [[one["law"] for one in p["refuted"]] for p in found["policies"] if p["name"] == "never"] == [["safe"]]
    shown = foliolab("show", "never", "--plugin", plugin).out
    assert "✗ safe refuted by made-up: folio 0: called exclusive" in shown and ", verifier " in shown
    plugin.write_text(plugin.read_text().replace("return False", "return folio.off < 0"))
    assert foliolab("list", "--plugin", plugin).out.count("safe refuted") == shipped, "the text has changed"


def test_verdicts_of_another_verifier_are_shown_as_stale(
    foliolab: Run, attack: Callable[..., MadeUp], plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack(REFUTED)
    foliolab("verify", "--plugin", plugin, "--jobs", "0")
    monkeypatch.setattr(ledger, "verifier_digest", lambda: "another version")
    why = "stale: judged by another version of the verifier (verify, "
    for command in (("list",), ("show", "never")):
        shown = foliolab(*command, "--plugin", plugin).out
        assert "✗ safe refuted (stale) by made-up: folio 0: called exclusive" in shown and why in shown
    found = json.loads(foliolab("list", "--json", "--plugin", plugin).out)
    assert [[one["stale"] for one in p["refuted"]] for p in found["policies"] if p["name"] == "never"] == [[True]]


def test_where_counterexamples_go(foliolab: Run, attack: Callable[..., MadeUp], plugin: Path) -> None:
    attack(REFUTED)
    assert foliolab("verify", "never", "--plugin", plugin, "--jobs", "0", "-o", "other").code == 1
    assert Counterexample.load("other/never-safe.json").law == "safe"
    assert foliolab("verify", "never", "--plugin", plugin, "--jobs", "0", "-o", "one.json").code == 1
    assert Counterexample.load("one.json").law == "safe"
    Path("taken").write_text("")
    assert foliolab("verify", "never", "--plugin", plugin, "-o", "taken").code == 2
    done = foliolab("verify", "never", "--plugin", plugin, "--jobs", "0", "-o", "taken/below")
    assert done.code == 1
    assert "cannot be written" in done.err and "called exclusive" in done.out


def test_what_no_run_of_the_engine_confirms_is_no_refutation(foliolab: Run, attack: Callable[..., MadeUp]) -> None:
    attack(REFUTED)
    done = foliolab("verify", "mm-id", "--jobs", "0")
    assert done.code == ExitCode.UNDECIDED
    assert "does not confirm" in done.out and "UNDECIDED" in done.out


def test_an_interrupted_run_says_what_it_knows(foliolab: Run, attack: Callable[..., MadeUp]) -> None:
    attack(interrupts=True)
    done = foliolab("verify", "--all", "--jobs", "0", "--json", "all.json")
    assert done.code == 130
    assert "Interrupted" in done.out
    assert len(Verdicts.load("all.json").verifications) == 1, "the others are not begun"


def test_each_policy_has_its_own_time(
    foliolab: Run, attack: Callable[..., MadeUp], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = []

    def begun(seconds: float, *more: Any) -> Budget:
        whole.append(seconds)
        return Budget(seconds, *more)

    monkeypatch.setattr("foliolab.framework.verify.attack.Budget", begun)
    attack(finding("safe", "held"))
    foliolab("verify", "mm-id,exact", "--jobs", "0", "--budget", "100")
    assert whole.count(100) == 2


def test_a_matrix_of_all(foliolab: Run, attack: Callable[..., MadeUp]) -> None:
    attack(finding("safe", "held"))
    done = foliolab("verify", "--all", "--jobs", "0")
    assert done.code == ExitCode.UNDECIDED
    table = done.out[done.out.index("Policies and their claims") :]
    assert all(f"\n{name} " in table for name in ("page-mapcount", "mm-id", "exact"))
    assert "✓ held, ◐ partly, ? undecided, ✗ refuted; nothing: not claimed" in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no policy is named"),
        (["--all", "mm-id"], "--all already means every policy"),
        (["mm-idd"], "did you mean mm-id"),
        (["mm-id", "--attacks", "explore"], "there is no attack 'explore'\n  did you mean explored?"),
        (["mm-id", "--attacks", "random,random"], "named twice"),
        (["mm-id", "--attacks", "random", "--memory-model", "tso"], "add explored"),
        (["mm-id", "--memory-model", "armv"], "there is no memory model 'armv'\n  did you mean armv8?"),
        (["mm-id", "--memory-model", "x86"], "memory models are sc, tso, armv8"),
        (["mm-id", "--memory-model", ""], "there is no memory model ''"),
        (["mm-id", "--memory-model", "armv8", "--tso"], "leave out one of them"),
        (["mm-id", "--memory", "1"], "has no unit"),
        (["mm-id", "--json", "no/such/file"], "no folder"),
    ],
)
def test_what_is_refused(foliolab: Run, arguments: list[str], said: str) -> None:
    done = foliolab("verify", *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_broken_ledger_is_said_and_stops_nothing(foliolab: Run, tmp_path: Path) -> None:
    (tmp_path / "data" / "verify").mkdir(parents=True)
    (tmp_path / "data" / "verify" / "x.json").write_text("{")
    done = foliolab("list")
    assert done.code == 0
    assert "x.json are damaged" in done.err


def test_a_real_attack_finds_it(foliolab: Run, plugin: Path) -> None:
    done = foliolab("verify", "--plugin", plugin, "--attacks", "random", "--jobs", "0", "--budget", "2")
    assert done.code == 1, done.out
    assert foliolab("step", "counterexamples/never-safe.json", "--plugin", plugin, "--dump").code == 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc to see the attack at work")
def test_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "foliolab.framework.cli", "verify", "mm-id", "--attacks", "random"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        attacks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        end = time.monotonic() + 120
        while not attacks.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Interrupted" in out
