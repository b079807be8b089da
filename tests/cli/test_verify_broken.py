"""`foliolab verify` on policies that do not end, recurse, or use what cannot be explored: a sentence with its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.verify.attack import Budget

Run = Callable[..., Any]
EXAMPLE = Path(__file__).parents[2] / "gui" / "tours" / "lost_update.py"
ANSWER = "    return atomic_read(folio._large_mapcount) > 0 and load(folio._shared) != 0\n"
REFUSED = {
    "an unknown function": ("    return not_there(folio)\n", "reads 'not_there', which is nowhere defined"),
    # the answer's new body, and what the one sentence must say; a policy that cannot even begin is exit code 4
    "a global dict": ("    SEEN[1] = 1\n    return True\n", "reads the global 'SEEN', a dict"),
    "a global that changes": ("    global N\n    N += 1\n    return N > 3\n", "changes the global 'N'"),
    "an import": ("    import time\n    return time.time() > 0\n", "imports time"),
}
REFUTED = {
    "no end": ("    while True:\n        load(folio._shared)\n", "does not end: "),
    "no end, no access": ("    while True:\n        pass\n", "does not end"),
    "recursion": ("    return maybe_mapped_shared(folio)\n", "RecursionError: maximum recursion depth exceeded"),
    "an unknown field": ("    return load(folio._nowhere) != 0\n", "struct folio has no field '_nowhere'"),
    "a check": ("    assert load(folio._shared) > 9, 'on purpose'\n    return True\n", "fires: on purpose"),
}


def write(folder: Path, body: str) -> Path:
    text = EXAMPLE.read_text()
    assert ANSWER in text
    file = folder / "example.py"
    file.write_text(text.replace(ANSWER, body).replace("NO_OWNER = 0\n", "NO_OWNER = 0\nSEEN = {}\nN = 0\n"))
    return file


@pytest.mark.parametrize("body", REFUSED)
def test_what_cannot_be_explored_is_one_sentence(foliolab: Run, tmp_path: Path, body: str) -> None:
    text, says = REFUSED[body]
    file = write(tmp_path, text)
    done = foliolab("verify", "--plugin", str(file), "--budget", "2", "-o", str(tmp_path / "ce"))
    assert done.code == 4
    assert re.search(rf"foliolab: maybe_mapped_shared at {re.escape(str(file))}:\d+ {re.escape(says)}\n", done.err)


@pytest.fixture
def seconds_are_computed(monkeypatch: pytest.MonkeyPatch, computing_time: type[Budget]) -> None:
    """A busy host gives the attack in this process no less time."""
    monkeypatch.setattr("foliolab.framework.verify.attack.Budget", computing_time)


@pytest.mark.usefixtures("seconds_are_computed")
@pytest.mark.parametrize(("body", "attack"), [*((body, "random") for body in REFUTED), ("no end", "structural")])
def test_what_goes_wrong_is_refuted_with_its_line(foliolab: Run, tmp_path: Path, body: str, attack: str) -> None:
    text, says = REFUTED[body]
    file = write(tmp_path, text)
    words = ("--attacks", attack, "--jobs", "0", "--budget", "0.7", "-o", str(tmp_path / "ce"))
    done = foliolab("verify", "--plugin", str(file), *words)
    assert done.code == 1, done.out + done.err
    said = [line for line in (done.out + done.err).splitlines() if says in line]
    assert any(re.search(r"example\.py:\d+", line) for line in said), said


def test_a_file_that_cannot_be_loaded_is_one_sentence(foliolab: Run, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text("import no_such_module_anywhere\n")
    done = foliolab("verify", "--plugin", str(file))
    assert done.code == 4
    assert f"{file}:1: ModuleNotFoundError" in done.err
