"""Scenario text: what is wrong is told with its line and column; `^` in a text here marks where, and is taken out."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest

from foliolab.framework.errors import ExitCode, UsageError
from foliolab.framework.scenario.heading import summary
from foliolab.framework.scenario.parser import MAX_BYTES, ScenarioError, load, parse, read
from foliolab.framework.scenario.syntax import Expect, Pages, ScenarioStep

HEAD = "scenario x\nregion heap: 1 x 16K pte, room 4\nregion big: 1 x 2M pmd\n"

ONE = "scenario x\nregion heap: 1 x 16K pte, room 4\n"
FORKS = "".join(f"A: fork {child}\n" for child in "BCDE")
WRITES = "".join(f"{process}: write heap[0]\n" for process in "ABCD")

WRONG = {
    # the head
    "^": "the file has no scenario",
    "^# only a comment": "the file has no scenario",
    "^region heap: 1 x 16K": "expected scenario, not 'region'",
    "scenario^": "a name in lower case with hyphens is missing",
    "scenario ^Upper": "'Upper' is not a name in lower case",
    "scenario x ^y": "unexpected 'y'",
    "scenario x\nby^": "a policy is missing",
    "scenario x\nby mm-id ^exact": "unexpected 'exact'",
    "scenario x\nby mm-id\n^by exact": "there is a policy already",
    "scenario x\n^A: fork B": "there is no region yet",
    HEAD + "A: fork B\n^region more: 1 x 4K": "a region after the first step",
    HEAD + "A: fork B\n^| told too late": "a sentence after the first step",
    HEAD + "A: fork B\n^by exact": "by after the first step",
    # regions
    "scenario x\nregion ^heap 1 x 4K": "is not a region's name and a colon",
    "scenario x\nregion heap: ^many x 4K": "'many' is not a number of folios",
    "scenario x\nregion heap: ^99999 x 4K": "'99999' is not a number of folios",
    "scenario x\nregion heap: 1 ^of 4K": "expected x, not 'of'",
    "scenario x\nregion heap: 1 x^": "a folio size is missing",
    "scenario x\nregion heap: 1 x ^8K": "not the size of an anonymous folio",
    "scenario x\nregion heap: 1 x ^4M": "not the size of an anonymous folio",
    "scenario x\nregion heap: 1 x ^48K": "not the size of an anonymous folio",
    "scenario x\nregion heap: 1 x ^64K pmd": "only folios of 2M are mapped by PMDs",
    "scenario x\nregion heap: 1 x 64K ^pud": "unexpected 'pud'",
    "scenario x\nregion heap: 1 x 64K pte, ^space 4": "expected room, not 'space'",
    "scenario x\nregion heap: 1 x 64K pte, room ^-1": "'-1' is not a number of pages",
    "scenario x\nregion ^heap: 0 x 4K": "the region has no page, or too many",
    "scenario x\nregion ^heap: 129 x 2M": "the region has no page, or too many",
    HEAD + "region ^heap: 1 x 4K": "there is a region heap already",
    # lines
    HEAD + "^write heap": "a line cannot start with 'write'",
    HEAD + "^A : write heap": "a line cannot start with 'A'",
    HEAD + "^9: exit": "is not a process and a colon",
    HEAD + "A:^": "an action is missing",
    HEAD + "A: ^sleep": "there is no action 'sleep'",
    HEAD + "A: exit ^now": "unexpected 'now'",
    # steps at once
    HEAD + "^at once": "there is no step above",
    HEAD + "A: fork B\nat ^last": "expected once, not 'last'",
    HEAD + "A: fork B\n^end": "nothing begins here that could end",
    HEAD + "A: fork B\n^at once": "there are 2 large folios",
    ONE + "A: fork B\nat once\nA: write heap[0]\n^end": "at once takes steps of two or more processes or threads",
    ONE + "A: fork B\nat once\n^at once": "there are steps at once already",
    ONE + "A: fork B\nat once\nA: ^read heap[0]": "read cannot run at once",
    ONE + "A: fork B\nat once\nA: write ^heap[4]": "heap[4] of A is not present",
    ONE + "A: fork B\nat once\nA: fork C\n^C: exit": "C is forked at once with this",
    ONE + "A: fork B\nat once\nA: write heap[0]\nA: vmsplice ^heap[0] as p": "A changes heap[0] at once with this",
    ONE + "A: fork B\nat once\n^A: expect heap[0] kpagecount 1": "between steps at once no moment is known",
    ONE + "A: fork B\nat once\n^expect PGCOPY 1": "between steps at once no moment is known",
    ONE + "A: pageout heap\n^at once": "at once after pageout or cold",
    ONE + f"{FORKS}at once\n{WRITES}^E: write heap[0]": "more than 4 processes and threads at once",
    ONE + f"{FORKS}at once\nA: exit\nB: exit\nend\nC: ^pageout heap": "pageout in a scenario with at once",
    # threads
    HEAD + "A: thread T\nA: fork ^T": "there was a process T already",
    HEAD + "A: thread T\n^T: exec": "T is a thread, and ends in exec",
    HEAD + "A: thread T\nA: exec\n^T: write heap[0]": "process T has exited",
    HEAD + "A: thread T\nA: fork B\nA: exit\n^T: write heap[0]": "process T has exited",
    ONE + "A: thread T\nat once\nA: fork B\nT: ^exit": "the exit of a thread changes no memory",
    ONE + "A: thread T\nat once\nT: write heap[0]\nA: ^exit": "A: exit ends T, a thread that does write",
    ONE + "A: thread T\nat once\nA: munmap heap[0]\nT: ^write heap[0]": "A: beside munmap, write of T may meet memory",
    ONE
    + "A: thread T\nat once\nT: pin heap[1] as p\nA: ^mprotect heap": "A: beside mprotect, pin of T may meet memory",
    ONE
    + "A: thread T\nat once\nT: mremap heap[1] to heap[4]\nA: ^fork B": "T: beside mremap, what A forks is not known",
    ONE + "A: thread T\nat once\nT: vmsplice heap[1] as p\nA: ^write heap": "T: A changes heap[1] at once with this",
    ONE + "A: thread T\nat once\nT: fork B without heap[0]\nA: ^fork C": "T: MADV_DONTFORK is for the forks of all",
    ONE + "A: thread T\nat once\nA: dontneed heap[0]\nA: write ^heap[0]": "heap[0] of A is not present",
    ONE
    + "A: thread T\nat once\nT: dontneed heap[0]\nA: write heap[0]\nend\nA: vmsplice ^heap[0] as p": "is not present",
    "scenario x\nregion heap: 1 x 2M pmd\nA: thread T\nat once\nA: write heap[0]\n^T: fork B": "PMDs may map its",
    # pins and migrations at once
    ONE + "A: fork B\nat once\nB: write heap[1]\nA: pin ^heap[4] as p": "heap[4] of A is not present",
    ONE + "A: fork B\nat once\nA: pin heap[0] as p\n^A: unpin p": "p is pinned at once with this",
    ONE + "A: fork B\nat once\nA: pin heap[0] as p\n^A: exit": "p is pinned at once with this",
    ONE + "A: thread T\nat once\nA: pin heap[0] as p\nT: unpin ^p": "A does pin with p at once with this",
    ONE + "A: fork B\nat once\nA: migrate heap[0]\nB: ^migrate heap[0]": "there is a migrate at once already",
    ONE
    + "A: thread T\nA: thread U\nat once\nA: migrate heap[0]\nT: fork B\nU: ^fork C": "two threads fork at once with",
    "scenario x\nregion heap: 1 x 2M pmd\nA: fork B\nat once\nB: fork C\nA: ^migrate heap[0]": "migrate at once where",
    # operands
    HEAD + "A: fork^": "a name is missing",
    HEAD + "A: fork ^9": "'9' is not a name",
    HEAD + "A: fork B ^with heap": "unexpected 'with'",
    HEAD + "A: fork B without^": "pages such as heap[0-15] is missing",
    HEAD + "A: write^": "pages such as heap[0-15] is missing",
    HEAD + "A: write ^stack[0]": "there is no region stack",
    HEAD + "A: write ^heap[0": "is not pages such as",
    HEAD + "A: write ^heap[-1]": "is not pages such as",
    HEAD + "A: write ^heap[3-1]": "heap[3-1] ends before it starts",
    HEAD + "A: write ^heap[4-8]": "heap[4-8] is beyond the region",
    HEAD + "A: write heap[0] = ^256": "'256' is not a byte",
    HEAD + "A: write heap[0] =^": "a byte is missing",
    HEAD + "A: write heap[0] ^9": "unexpected '9'",
    HEAD + "A: mremap heap[0] ^heap[4]": "expected to, not 'heap[4]'",
    HEAD + "A: mremap heap[0-1] to ^heap[4-5]": "heap[4-5] is more than one page",
    HEAD + "A: pin ^heap as p": "heap is more than one page",
    HEAD + "A: pin heap[0] ^p": "expected as, not 'p'",
    HEAD + "A: vmsplice heap[0] as^": "a name is missing",
    # outcomes and expectations
    HEAD + "A: fork B -> ^copied": "fork has no outcome",
    HEAD + "A: write heap[0] -> ^moved": "'moved' is not an outcome of this action",
    HEAD + "A: write heap[0] ->^": "an outcome is missing",
    HEAD + "A: write heap[0] -> ^new": "'new' is not an outcome of this action",
    HEAD + "A: write heap[0] -> copied ^twice": "unexpected 'twice'",
    HEAD + "A: read heap[0] -> ^copied": "'copied' is not a byte",
    HEAD + "A: cold heap[0] -> ^out": "'out' is not an outcome of this action",
    HEAD + "^expect copied by exact": "no step above has an outcome",
    HEAD + "A: fork B\n^expect copied by exact": "no step above has an outcome",
    HEAD + "A: write heap[0]\nexpect copied^": "a policy is missing",
    HEAD + "A: write heap[0]\nexpect copied by^": "a policy is missing",
    HEAD + "^A: expect heap[0] present": "there is no step above",
    HEAD + "A: fork B\nA: expect heap[0] ^good": "expected kpagecount or",
    HEAD + "A: fork B\nA: expect heap[0] owners^": "a number is missing",
    HEAD + "A: fork B\nA: expect heap[0] present ^2": "unexpected '2'",
    HEAD + "A: fork B\n^C: expect heap[0] present": "there is no process C",
    HEAD + "A: fork B\nA: expect ^heap[9] present": "heap[9] is beyond the region",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_told_with_its_place(text: str) -> None:
    before = text[: text.index("^")]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    with pytest.raises(ScenarioError) as caught:
        parse(text.replace("^", ""), "file.scenario")
    assert caught.value.location[1:3] == (line, column), str(caught.value)
    assert WRONG[text] in caught.value.what
    assert caught.value.what.startswith(f"file.scenario:{line}:{column}: ")
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_everything_at_once() -> None:
    found = parse(
        "# above\nscenario all-of-it  # behind\n| One.\n| Two.\nby rmap-id:stage=batch,batched=0\n\n"
        "region heap: 2 x 16K, room 4\nregion big: 1 x 2M pmd\n\n"
        "A: fork B without big[0-9]\nA: write heap[0-1] = 7 -> new page # why\n"
        "expect copied by rmap-id:stage=batch,batched=0\nB: expect heap owners 2 by exact\n"
        "A: mremap heap[0-1] to heap[8]\n"
    )
    assert (found.name, found.text, found.policy) == ("all-of-it", ("One.", "Two."), "rmap-id:stage=batch,batched=0")
    assert [(r.name, r.nr_pages, r.pmd) for r in found.regions] == [("heap", 12, False), ("big", 512, True)]
    fork, write, copied, owners, move = found.items
    assert isinstance(fork, ScenarioStep) and fork.pages == Pages("big", 0, 9)
    assert isinstance(write, ScenarioStep) and (write.value, write.answer, write.comment) == (7, "new page", "# why")
    assert copied == Expect(subject="copied", policy="rmap-id:stage=batch,batched=0")
    assert owners == Expect(process="B", pages=Pages("heap", 0, 11), subject="owners", number=2, policy="exact")
    assert isinstance(move, ScenarioStep) and move.to == Pages("heap", 8, 9)
    assert found.first == "A"


@pytest.mark.parametrize(("what", "by"), [("\n", "\r\n"), ("\n", "\r"), (" ", "\t"), ("scenario", "\ufeffscenario")])
def test_line_ends_tabs_and_a_byte_order_mark(what: str, by: str, tmp_path: Path) -> None:
    text = HEAD + "A: fork B  # one line\u2028still\nA: write heap[0] = 3 -> copied\n"
    path = tmp_path / "x.scenario"
    path.write_bytes(text.replace(what, by).encode())
    found = load(path)
    assert found == parse(text)
    assert [item.line for item in found.items] == [4, 5]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "has no scenario"),
        (b"\n\n \n", "has no scenario"),
        (b"\x00\x01\x02", "expected scenario"),
        (b"\xff\xfe\x00", "is not text in UTF-8: byte 0"),
        (b"#" * (MAX_BYTES + 1), "is larger than 1 MiB"),
        (b"scenario " + b"x" * 1000, "has"),
    ],
)
def test_files_that_are_none(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.scenario"
    path.write_bytes(data)
    if said == "has":
        assert parse(data.decode()).steps == ()
        return
    with pytest.raises(UsageError, match=said):
        load(path)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= MAX_BYTES + 1
            return b"a" * size

    with pytest.raises(UsageError, match="larger"):
        read(Endless(), "endless")  # type: ignore[arg-type]


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "none.scenario")
    with pytest.raises(UsageError, match="Is a directory"):
        load(tmp_path)


def test_the_first_sentence_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.scenario"
    path.write_text("scenario x\n| One goes\n| on. Two. Three.\nregion heap: 1 x 4K\n")
    assert summary(path) == "One goes on."
    path.write_text("scenario x\nregion heap: 1 x 4K\nA: fork B\n")
    assert summary(path) == ""
    path.write_bytes(b"\xff\xff")
    assert summary(path) == ""
    assert summary(tmp_path / "none") == ""


def test_steps_at_once_need_an_end() -> None:
    with pytest.raises(ScenarioError, match=r"x:6:1: `at once` has no end"):
        parse(ONE + "A: fork B\nat once\nA: exit\nB: exit\n", "x")


def test_steps_at_once_are_known_by_number() -> None:
    scenario = parse(ONE + "A: fork B\nat once\nB: exit\nA: write heap[0]\nend\nA: exit\n")
    assert scenario.at_once == range(1, 3) and scenario.threads == ("B", "A")
    assert len(scenario.steps) == 4
    assert parse(ONE + "A: exit").at_once == range(0)
