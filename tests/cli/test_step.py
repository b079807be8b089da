"""`foliolab step`: step by step from a pipe, the table, and files that cannot be replayed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header
from foliolab.framework.verify.counterexample import Counterexample

Run = Callable[..., Any]


@pytest.fixture
def plugin(plugins: Any, tmp_path: Path) -> Path:
    written: Path = plugins.write_never(tmp_path)
    return written


@pytest.fixture
def raced(plugin: Path) -> Counterexample:
    """One asks while the other unmaps."""
    return Counterexample(
        policy="never",
        plugin=str(plugin),
        attack="explored",
        law="safe",
        claim="safe",
        message="folio 0 is called exclusive",
        shape={"nr_pages": 16, "nr_mms": 2, "nr_vpns": 8, "nr_cpus": 2, "max_order": 2},
        setup=["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1"],
        threads=[["maybe_shared pfn=0"], ["unmap mm=1 start=0 nr=1"]],
        schedule="0*1 1*200 0*9",
        digest="another",
    )


@pytest.fixture
def file(raced: Counterexample, tmp_path: Path) -> Path:
    raced.save(tmp_path / "one.json")
    return tmp_path / "one.json"


@pytest.fixture
def walk(foliolab: Run, file: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`foliolab step FILE` with these commands on its standard input."""

    def run(*commands: str, options: tuple[str, ...] = ()) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{command}\n" for command in commands)))
        return foliolab("step", file, "--plugin", plugin, *options)

    return run


def headings(out: str) -> list[str]:
    return [line.partition("  ")[0] for line in out.splitlines() if line.startswith("step ")]


def test_forward_back_jump_and_the_end(walk: Run) -> None:
    done = walk("n", "", "b", "j 1", "e", "s", "n 2", "q", "n")
    places = [int(line.split()[1]) for line in headings(done.out)]
    last = places[5]
    assert places == [0, 1, 2, 1, 1, last, 0, 2]
    assert last > 10
    assert done.code == 1, "the law breaks again"


def test_a_step_shows_what_is_stored_and_what_is_true(walk: Run) -> None:
    done = walk("j 2", "c")
    assert "step 2 of " in done.out and "set-up: fork parent=0 child=1" in done.out
    assert "    folio._mm_ids = id0 1, id1 2, shared 1\n" in done.out
    assert "mapped, from the page tables: folio 0 by MM 0: 4, MM 1: 4\n" in done.out
    changed = done.out[done.out.rindex("step ") :]
    assert "thread 1: unmap mm=1 start=0 nr=1" in changed
    assert "  changed: " in changed
    assert ".py:" in changed.splitlines()[2], "the author's line"


def test_back_is_what_was_there_before(walk: Run) -> None:
    forth = walk("j 20").out
    back = walk("e", "j 20").out
    assert forth[forth.index("step 20 ") :] == back[back.index("step 20 ") :]


def test_search_other_threads_and_help(walk: Run) -> None:
    done = walk("t", "t", "/bit_lock", "/no such thing", "o", "l", "?", "zz", "j 9999", "j x", "/", "b", "a", "d")
    assert "thread 0: maybe_shared pfn=0" in done.out
    assert "  test_and_set_bit_lock _mm_ids: lock 0 → 1\n" in done.out
    assert done.out.count("there is no such step") == 2
    assert "\n>" in done.out
    assert "one step forward" in done.out
    assert "zz is not a command" in done.out and "j x is not a command" in done.out
    assert "n and b go by every access" in done.out


def test_every_access_or_only_those_that_matter(walk: Run) -> None:
    few, all_of_them = walk(*["n"] * 40), walk(*["n"] * 40, options=("--all-accesses",))
    assert "cpu" not in few.out and "mm1.rss" not in few.out
    assert "PGFREE" in all_of_them.out or "rss_anon" in all_of_them.out


def test_the_table(foliolab: Run, file: Path, plugin: Path) -> None:
    done = foliolab("step", file, "--dump", "--plugin", plugin)
    assert done.code == 1
    assert done.out.startswith("never: law safe: never called exclusive while several MMs map it\n")
    assert "  schedule: 0*1 1*200 0*9\n" in done.out
    assert "The policy's text has changed since this was found." in done.out
    assert "▸ maybe_shared pfn=0" in done.out and "= exclusive" in done.out
    assert len(foliolab("step", file, "--plugin", plugin, "--dump", "--all-accesses", "--all").out.splitlines()) > len(
        done.out.splitlines()
    )


def test_a_law_that_no_longer_breaks(foliolab: Run, file: Path, plugin: Path) -> None:
    plugin.write_text(plugin.read_text().replace("return False", "return True"))
    done = foliolab("step", file, "--dump", "--plugin", plugin)
    assert done.code == 0
    assert "The law no longer breaks here." in done.out


def test_the_plugin_that_a_file_names_is_not_loaded(foliolab: Run, file: Path, plugin: Path, tmp_path: Path) -> None:
    plugin.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + plugin.read_text())
    done = foliolab("step", file, "--dump")
    said = f"foliolab: {file} is about never of the plugin {plugin}, which is not loaded\n"
    hint = f"  if you trust the plugin: foliolab step {file} --plugin {plugin}\n"
    assert (done.code, done.out, done.err) == (2, "", said + hint)
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_replayed(foliolab: Run, file: Path, raced: Counterexample, plugin: Path) -> None:
    def refused(code: int = 2) -> str:
        done = foliolab("step", file, "--dump", "--plugin", plugin)
        assert (done.code, done.out) == (code, "")
        return str(done.err)

    assert foliolab("step", file.with_name("none.json")).err.startswith("foliolab: there is no counterexample")
    trace = file.with_suffix(".folio")
    Writer(trace, Header(source="test", kernel="6.18.0")).close()
    done = foliolab("step", trace)
    said = f"foliolab: {trace} is a recorded trace, not a counterexample\n  foliolab replay {trace}\n"
    assert (done.code, done.err) == (2, said)
    done = foliolab("replay", file)
    assert (done.code, done.err) == (2, f"foliolab: {file} is a counterexample, not a trace\n  foliolab step {file}\n")
    assert foliolab("step", file, "--all").code == 2

    msgspec.structs.replace(raced, plugin="/no/such.py").save(file)
    assert "came from the plugin file /no/such.py, which is gone" in foliolab("step", file).err
    assert foliolab("step", file, "--dump", "--plugin", plugin).code == 1, "it is elsewhere now"
    msgspec.structs.replace(raced, plugin="", policy="mine").save(file)
    assert "is about a policy that is not here: there is no policy 'mine'" in refused()
    msgspec.structs.replace(raced, setup=["creat mm=0"]).save(file)
    assert "there is no operation 'creat'" in refused()
    msgspec.structs.replace(raced, schedule="7*1").save(file)
    assert "is not a turn of one of the 2 threads" in refused()
    msgspec.structs.replace(raced, setup=["exit mm=0"]).save(file)
    assert "MM 0 does not exist" in refused(1)
    msgspec.structs.replace(raced, setup=[], threads=[[]], schedule="").save(file)
    assert "has no step" in foliolab("step", file, "--plugin", plugin).err
    plugin.write_text("POLICY = 1 / 0\n")
    raced.save(file)
    assert "division by zero" in refused(4)
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    assert "damaged" in refused()


def test_what_is_sent(foliolab: Run, file: Path, plugin: Path, tmp_path: Path) -> None:
    sent = tmp_path / "race.html"
    done = foliolab("step", file, "--plugin", plugin, "--html", sent)
    assert (done.code, done.out, done.err) == (1, f"written: {sent}\n", "")
    mail = foliolab("step", file, "--plugin", plugin, "--mail")
    assert mail.code == 1 and mail.out.endswith("Repeat it:\n  foliolab step one.json --plugin never.py\n")
    of_page = foliolab("step", sent, "--plugin", plugin, "--mail")
    assert of_page.out.splitlines()[:-1] == mail.out.splitlines()[:-1], "the page holds its counterexample"
    done = foliolab("step", file, "--plugin", plugin, "--html", tmp_path / "none" / "race.html")
    assert done.code == 2 and "there is no folder" in done.err
    plugin.write_text(plugin.read_text().replace("return False", "return True"))
    assert "is not broken" in foliolab("step", file, "--plugin", plugin, "--mail").out


def test_a_scenario_is_sent(foliolab: Run, tmp_path: Path) -> None:
    sent = tmp_path / "third.html"
    done = foliolab("step", "third-stays", "--policies", "mm-id", "--html", sent, "--steps", "2-4")
    assert (done.code, done.out, done.err) == (0, f"written: {sent}\n", "")
    text = sent.read_text("utf-8")
    assert "scenario third-stays, steps 2 to 4, under mm-id" in text
    assert "foliolab step third-stays --policies mm-id --steps 2-4 --html third.html" in text
    for steps in ("9-12", "1,3", "x"):
        assert foliolab("step", "third-stays", "--mail", "--steps", steps).code == 2
    assert foliolab("step", "third-stays").code == 2, "only counterexamples are walked through in the terminal"


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason="numba is missing")
def test_a_pattern_is_sent_up_to_its_first_wrong_answer(foliolab: Run) -> None:
    pattern = ("--folios", "4", "--size", "16K", "--mms", "3")
    done = foliolab("step", "last-child", "--policies", "mm-id", *pattern, "--mail")
    assert done.code == 0
    assert "mm-id: false shared after 1 of " in done.out
    assert "--mms 3 --size 16K --folios 4 --mail" in done.out.splitlines()[-1]


def test_a_trace_for_perfetto(foliolab: Run, file: Path, plugin: Path, tmp_path: Path) -> None:
    trace, recorded = tmp_path / "race.pftrace", tmp_path / "app.folio"
    done = foliolab("step", file, "--plugin", plugin, "--perfetto", trace)
    assert (done.code, done.out) == (1, f"written: {trace}\n")
    assert b"thread 1" in trace.read_bytes()
    Writer(recorded, Header(source="test", kernel="6.18.0", command="redis-server")).close()
    done = foliolab("step", recorded, "--perfetto", trace)
    assert (done.code, done.out) == (0, f"written: {trace}\n")
    assert b"redis-server" in trace.read_bytes()
    done = foliolab("step", "third-stays", "--perfetto", trace)
    assert done.code == 2 and "is no recording" in done.err


def test_a_litmus_test(foliolab: Run, file: Path, plugin: Path, tmp_path: Path) -> None:
    written = tmp_path / "race.litmus"
    done = foliolab("step", file, "--plugin", plugin, "--litmus", written)
    assert done.code == 2 and "no location is shared" in done.err and not written.exists()
    both = ["unmap mm=0 start=0 nr=1"], ["unmap mm=1 start=0 nr=1"]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"threads": both}))
    done = foliolab("step", file, "--plugin", plugin, "--litmus", written)
    assert done.out == f"written: {written}\n"
    assert written.read_text().startswith("C never-")
    done = foliolab("step", "third-stays", "--litmus", written)
    assert done.code == 2 and "is no counterexample" in done.err


def test_options_that_do_nothing_are_refused(foliolab: Run, file: Path, plugin: Path) -> None:
    for options in (("--mail", "--dump"), ("--policies", "mm-id"), ("--mail", "--steps", "1-2")):
        done = foliolab("step", file, "--plugin", plugin, *options)
        assert (done.code, done.out) == (2, ""), options


def test_a_c_program_of_a_scenario(foliolab: Run, file: Path, plugin: Path, tmp_path: Path) -> None:
    written = tmp_path / "third.c"
    done = foliolab("step", "third-stays", "--selftest", written)
    assert (done.code, done.out) == (0, f"written: {written}\n")
    assert "third-stays, as mm-id says" in written.read_text()
    done = foliolab("step", file, "--plugin", plugin, "--selftest", written)
    assert done.code == 2 and "--selftest is for scenarios" in done.err
