"""The documentation builds without a warning; its commands and examples do what it says."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")
# One build serves all, and it writes the pages of policies beside the others.
pytestmark = [pytest.mark.xdist_group("docs"), pytest.mark.timeout(900)]


def build(builder: str, source: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "sphinx", "-W", "--keep-going", "-q", "-b", builder]
    return subprocess.run(
        [*command, "-d", str(folder / "trees"), *options, str(source), str(folder / builder)],
        capture_output=True,
        encoding="utf-8",
        timeout=800,
        check=False,
        env=os.environ | {"PYTHONUTF8": "1"},
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a build as HTML; other builders use its pages as they were read."""
    folder = tmp_path_factory.mktemp("docs")
    done = build("html", DOCS, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr.strip()
    return folder


@pytest.mark.slow
def test_pages_are_built_without_a_warning(built: Path) -> None:
    pages = {str(file.relative_to(DOCS).with_suffix("")) for file in DOCS.rglob("*.md")}
    assert {"index", "questions/right", "scenarios", "verifier", "real-programs", "policies/mm-id"} <= pages
    assert pages <= {str(file.relative_to(built / "html").with_suffix("")) for file in (built / "html").rglob("*.html")}


@pytest.mark.slow
def test_every_policy_has_a_page_with_its_states(built: Path) -> None:
    from foliolab.framework.plugins.registry import load

    for name in load().policies:
        page = (built / "html" / "policies" / f"{name}.html").read_text("utf-8")
        assert page.count('<svg class="foliolab-graph"') == (2 if shutil.which("dot") else 0), name


@pytest.mark.slow
def test_pages_name_no_path_of_this_host(built: Path) -> None:
    for file in (built / "html").rglob("*.html"):
        text = file.read_text("utf-8")
        assert str(ROOT) not in text, file
        assert "foliolab-docs-" not in text, file


@pytest.mark.slow
def test_a_page_that_a_command_wrote_is_in_its_frame(built: Path) -> None:
    text = (built / "html" / "questions" / "right.html").read_text("utf-8")
    (address,) = re.findall(r'<iframe class="foliolab-page" src="([^"]+)"', text)
    page = (built / "html" / "questions" / address).read_text("utf-8")
    assert "law mapcount broken" in page and 'id="counterexample"' in page


@pytest.mark.slow
def test_the_wrong_policy_is_refuted_and_its_counterexample_repeats(built: Path) -> None:
    page = html.unescape(re.sub(r"<[^>]+>", "", (built / "html" / "questions" / "right.html").read_text("utf-8")))
    told = re.search(r"^  folio 0: mapcount (\d), (\d) mappings$", page, re.MULTILINE)
    assert told and told[1] != told[2]  # which program breaks the law first depends on what else the machine does
    assert re.search(r"^schedule: 0\*\d+( [01]\*\d+){1,7}$", page, re.MULTILINE)  # a few changes of turn are enough
    tables = (DOCS / "commands.md").read_text("utf-8")
    (step,) = re.findall(r"^\| `(foliolab step [^`]+my\.py)` ", tables, re.MULTILINE)
    assert f"{step} --dump\n" in page
    assert "the law `mapcount` is broken" in page


@pytest.mark.slow
def test_every_picture_is_shown(built: Path) -> None:
    shown = {file.name for file in (built / "html" / "_images").iterdir()}
    assert {file.name for file in (DOCS / "pictures").iterdir()} <= shown


@pytest.mark.slow
def test_every_block_of_commands_has_an_output(built: Path) -> None:
    """Or says why not."""
    for source in DOCS.rglob("*.md"):
        blocks = re.findall(r"^```\{foliolab\}\n(.*?)^```$", source.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        page = (built / "html" / source.relative_to(DOCS).with_suffix(".html")).read_text("utf-8")
        assert page.count("foliolab-command ") == len(blocks)
        kernel = sum(":kernel:" in block for block in blocks)
        if os.environ.get("FOLIOLAB_DOCS_KERNEL") != "1":
            assert page.count("foliolab-output ") == len(blocks) - kernel
            assert page.count("foliolab-not-run") == kernel


@pytest.mark.slow
def test_the_examples_of_python_do_what_the_pages_show(built: Path) -> None:
    done = build("doctest", DOCS, built)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = (built / "doctest" / "output.txt").read_text("utf-8")
    tests = re.search(r"^ +(\d+) tests?$", summary, re.MULTILINE)
    assert tests is not None
    assert int(tests[1]) == sum(file.read_text("utf-8").count("\n>>> ") for file in DOCS.glob("*.md")) > 10


WRONG = {
    ":exit: 0\nfoliolab show no-such-policy": "there is no policy",
    ":exit: 1\nfoliolab list": "exit code 0, not 1",
    ":from: no such line\nfoliolab list": "no line is like 'no such line'",
    "ls": "does not begin with foliolab",
}
"""Blocks that must fail a build, and what it must say."""


@pytest.mark.slow
def test_a_command_that_does_otherwise_fails_the_build(built: Path, tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(DOCS / '_ext')!r})\n"
        "extensions = ['foliolab_docs', 'myst_parser']\nproject = 'wrong'\n"
    )
    blocks = "\n\n".join(f"```{{foliolab}}\n{block}\n```" for block in WRONG)
    (source / "index.md").write_text(f"# Wrong\n\n{blocks}\n")
    done = build("text", source, tmp_path)
    assert done.returncode != 0
    faults = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(faults) == len(WRONG)
    for complaint in WRONG.values():
        assert complaint in done.stderr, complaint


def test_a_block_that_fails_is_that_of_its_own_line() -> None:
    """Outcomes are told apart by their commands: a block of an included file does not take another block's."""
    commands = pytest.importorskip("foliolab_docs.commands")
    runs = commands.Runs()
    runs.begin({"page": "```{foliolab}\n:exit: 2\nnone one\nnone two\n```\n\n````{foliolab}\nnone three\n````\n"})
    try:
        assert [ended.command for ended in runs.outcomes("page", ("none included",))] == ["none included"]
        assert [ended.command for ended in runs.outcomes("page", ("none one", "none two"))] == ["none one", "none two"]
        assert [ended.fault for ended in runs.outcomes("page", ("none three",))] == [
            "'none three' does not begin with foliolab"
        ]
    finally:
        runs.forget()


def test_what_is_made_is_not_kept() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    files = subprocess.run(
        [git, "ls-files", "docs/policies", "docs/findings", "docs/_build"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not files.stdout
