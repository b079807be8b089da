"""Litmus tests of counterexamples: read back by the grammar of herd7's C, and run as sequential consistency allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from raced import played, plugin_in

from foliolab.framework.errors import UsageError
from foliolab.framework.plugins import registry
from foliolab.framework.report.litmus import litmus
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.timeline import Timeline

Memory = dict[str, int]
Statement = Callable[[Memory, Memory], None]
State = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[tuple[str, int], ...], ...]]
"""Statements that each process has done, the values of the locations, and each process' registers."""

NUMBER, NAME = r"-?\d+", r"[A-Za-z_]\w*"
READ = rf"\*(?P<x>{NAME})|READ_ONCE\(\*(?P<y>{NAME})\)|(?:smp_load_acquire|atomic_read)\((?P<z>{NAME})\)"
WRITTEN = rf"\*(?P<x>{NAME}) = |WRITE_ONCE\(\*(?P<y>{NAME}), |(?:smp_store_release|atomic_set)\((?P<z>{NAME}), "
FORMS = {
    rf"(?P<r>r\d+) = (?:{READ})": "x",
    rf"(?:{WRITTEN})(?P<v>{NUMBER})\)?": "v",
    rf"smp_store_release\((?P<x>{NAME}), (?P<s>r\d+) - (?P<v>{NUMBER})\)": "s - v",
    rf"(?:(?P<r>r\d+) = )?atomic_(?P<op>\w+)\((?:(?P<v>{NUMBER}), )?(?P<x>{NAME})\)": "op",
    rf"(?P<r>r\d+) = xchg\((?P<x>{NAME}), (?P<v>{NUMBER})\)": "xchg",
    rf"(?P<r>r\d+) = cmpxchg\((?P<x>{NAME}), (?P<o>{NUMBER}), (?P<v>{NUMBER})\)": "cmpxchg",
    r"smp_(?:mb|rmb|wmb)\(\)": "",
}
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "add": lambda old, v: old + v, "sub": lambda old, v: old - v, "inc": lambda old, _: old + 1,
    "dec": lambda old, _: old - 1, "or": lambda old, v: old | v, "andnot": lambda old, v: old & ~v,
}  # fmt: skip


def statement(text: str) -> Statement:
    """What a line of a process does to memory and to the process' registers."""
    kind, found = next((kind, match) for form, kind in FORMS.items() if (match := re.fullmatch(form, text)))
    given = found.groupdict()
    where = given.get("x") or given.get("y") or given.get("z") or ""

    def run(memory: Memory, registers: Memory) -> None:
        if not kind:
            return
        old, value = memory[where], int(given.get("v") or 0)
        if kind == "x":
            new, answer = old, old
        elif kind == "op":
            name = re.sub(r"_(acquire|release|relaxed)$", "", given["op"])
            plain = name.removeprefix("fetch_").removesuffix("_return")
            new = OPERATIONS[plain](old, value)
            answer = new if name.endswith("_return") else old
        elif kind == "cmpxchg":
            new, answer = value if old == int(given["o"]) else old, old
        else:
            new, answer = (registers[given["s"]] - value if kind == "s - v" else value), old
        memory[where] = new
        if given.get("r"):
            registers[given["r"]] = answer

    return run


class Herd:
    """A litmus test that was read."""

    def __init__(self, text: str) -> None:
        head, rest = text.split("*)\n\n", 1)
        assert re.match(r"C [A-Za-z0-9-]+\n\n\(\*\n", head), head
        assert text.isascii() and head.count("(*") == 1
        initial, *processes, exists = rest.rstrip("\n").split("\n\n")
        self.initial = {name: int(value) for name, value in re.findall(rf"\t({NAME})=({NUMBER});", initial)}
        assert initial == "{\n" + "\n".join(f"\t{name}={value};" for name, value in self.initial.items()) + "\n}"
        self.processes = [list(self._process(number, one)) for number, one in enumerate(processes)]
        terms = re.fullmatch(r"exists \((.*)\)", exists, re.S)
        assert terms is not None
        self.exists = dict(term.split("=") for term in terms[1].split(" /\\\n\t"))

    def _process(self, number: int, text: str) -> Iterator[Statement]:
        signature, opening, *lines, closing = text.split("\n")
        given = re.fullmatch(rf"P{number}\((.*)\)", signature)
        assert given is not None and (opening, closing) == ("{", "}")
        names = [re.fullmatch(rf"(?:int|atomic_t) \*({NAME})", one)[1] for one in given[1].split(", ") if one]  # type: ignore[index]
        declared: list[str] = []
        for line in lines:
            assert line.startswith("\t")
            if register := re.fullmatch(r"\tint (r\d+);", line):
                declared.append(register[1])
                continue
            body = re.fullmatch(r"\t(.*);(?: // \S+:\d+)?", line)
            assert body is not None, line
            assert set(re.findall(r"\br\d+\b", body[1])) <= set(declared), line
            assert set(re.findall(NAME, body[1])) & set(self.initial) <= set(names), line
            yield statement(body[1])

    def allowed(self) -> bool:
        """Whether an interleaving of the processes ends as `exists` says."""
        ends = [len(one) for one in self.processes]
        start: State = ((0,) * len(ends), tuple(self.initial.values()), ((),) * len(ends))
        seen, waiting = {start}, [start]
        while waiting:
            at, values, held = waiting.pop()
            if list(at) == ends and self._holds(values, held):
                return True
            for turn in (number for number, done in enumerate(at) if done < ends[number]):
                memory = dict(zip(self.initial, values, strict=True))
                registers = dict(held[turn])
                self.processes[turn][at[turn]](memory, registers)
                after: State = (
                    tuple(done + (number == turn) for number, done in enumerate(at)),
                    tuple(memory.values()),
                    tuple(tuple(registers.items()) if number == turn else one for number, one in enumerate(held)),
                )
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return False

    def _holds(self, values: tuple[int, ...], held: tuple[tuple[tuple[str, int], ...], ...]) -> bool:
        state = {name: str(value) for name, value in zip(self.initial, values, strict=True)}
        state |= {f"{number}:{name}": str(value) for number, one in enumerate(held) for name, value in one}
        return state == self.exists


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plugin_in(tmp_path_factory.mktemp("litmus"))


def timeline(policy: str, threads: list[list[str]], schedule: str, **changes: object) -> Timeline:
    """Threads on a folio of 4 pages that MMs 0 and 1 map, under a schedule of accesses."""
    given: dict[str, object] = {
        "policy": policy, "plugin": "", "attack": "explored", "law": "safe", "claim": "safe", "message": "",
        "shape": {"nr_pages": 16, "nr_mms": 3, "nr_vpns": 8, "nr_cpus": 2, "max_order": 2},
        "setup": ["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1"],
        "threads": threads, "schedule": schedule, "command": "",
    }  # fmt: skip
    example = Counterexample(**given | changes)  # type: ignore[arg-type]
    return Timeline(example, registry.load().policy(policy))


UNMAPS = [["unmap mm=0 start=0 nr=1"], ["unmap mm=1 start=0 nr=1"]]
LEAVE = [["unmap mm=0 start=0 nr=4"], ["write mm=1 start=1"]]
ASKS = [["maybe_shared pfn=0"], ["fork parent=0 child=2"]]


@pytest.mark.parametrize("policy", ["mm-id", "page-mapcount", "no-page-mapcount", "rmap-id", "exact"])
@pytest.mark.parametrize(
    ("threads", "schedule"),
    [(UNMAPS, "0*6 1*11 0*3 1*900 0*900"), (LEAVE, "1*9 0*14 1*3 0*900 1*900"), (ASKS, "0*1 1*12 0*2 1*900 0*900")],
    ids=["unmaps", "leave", "asks"],
)
def test_an_interleaving_is_one_of_the_test(policy: str, threads: list[list[str]], schedule: str) -> None:
    """What the engine does under a schedule is what the litmus test does in some order of its statements."""
    text = litmus(timeline(policy, threads, schedule), "foliolab step file.json")
    assert Herd(text).allowed(), text


def test_another_outcome_is_not() -> None:
    """The reader of the tests above does not allow everything."""
    text = litmus(timeline("mm-id", UNMAPS, "0*6 1*900 0*900"), "foliolab step file.json")
    test = Herd(text)
    assert test.allowed()
    test.exists["folio_refcount"] = "77"
    assert not test.allowed()


def test_barriers_stand_between_the_accesses() -> None:
    halves = ["unmap mm=0 start=0 nr=2", "unmap mm=1 start=2 nr=2"]
    setup = ["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1", *halves]
    text = litmus(timeline("rmap-id", ASKS, "0*9 1*900 0*900", setup=setup), "foliolab step file.json")
    reader = text.split("P0(")[1].split("P1(")[0]
    body = [line.strip().partition(";")[0] for line in reader.splitlines() if "=" in line or "smp" in line]
    assert "smp_rmb()" in body and 0 < body.index("smp_rmb()") < len(body) - 1


def test_a_lock_is_an_acquire_and_a_release() -> None:
    text = litmus(timeline("mm-id", UNMAPS, "0*6 1*900 0*900"), "foliolab step file.json")
    taken = re.search(r"(r\d+) = atomic_fetch_or_acquire\((\d+), (\w+)\);", text)
    assert taken is not None
    assert re.search(rf"smp_store_release\({taken[3]}, r\d+ - {taken[2]}\);", text[taken.end() :])


def test_store_buffers_are_left_to_the_memory_model() -> None:
    """A store that waits in a buffer stands where its thread does it; no line is a flush."""
    one = timeline("mm-id", UNMAPS, "0*12 1*4 0*900 1*900", memory_model="tso")
    text = litmus(one, "foliolab step file.json")
    assert "flush" not in text and "Found under tso: x86-TSO" in text
    Herd(text)


def test_what_is_no_litmus_test_is_refused(plugin: Path) -> None:
    with pytest.raises(UsageError, match="one after another"):
        litmus(played(plugin, threads=[["unmap mm=1 start=0 nr=1"]], schedule=""), "")
    with pytest.raises(UsageError, match="more than the 62 bits"):
        litmus(timeline("mm-id-v1", UNMAPS, "0*6 1*900 0*900"), "")
    with pytest.raises(UsageError, match="no location is shared"):
        litmus(played(plugin, threads=[["unmap mm=1 start=0 nr=1"]], schedule="0*99"), "")


def test_names_that_attack_the_comment_stay_in_it(plugin: Path) -> None:
    text = litmus(played(plugin, threads=UNMAPS, schedule="0*99 1*99"), "*) exists (* \n P0() {}")
    Herd(text)
    assert " * * ) exists ( * " in text
