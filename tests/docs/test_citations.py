"""Sources can be opened: every citation names a section of the documentation, a commit or a mail that is known."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from foliolab.framework.consequences.figures import FIGURES
from foliolab.framework.contract.policy import Policy
from foliolab.framework.contract.sharing_pattern import SharingPattern
from foliolab.framework.contract.workload import Workload
from foliolab.framework.plugins.registry import load

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SPECIFICATION = (DOCS / "specification.md").read_text("utf-8")
REAL_KERNELS = (DOCS / "real-kernels.md").read_text("utf-8")
HEADING = re.compile(r"^(?:\((?P<anchor>[\w-]+)\)=\n)?(?P<level>##+) (?P<title>.+)$", re.MULTILINE)

NUMBER = r"\d+(?:\.\d+)?(?![\w%-])(?:,? \([^)]*\))?"
CITATION = re.compile(rf"\b[Ss]pecification ({NUMBER}(?:(?:,? and|,| to) {NUMBER})*)")
TITLE = re.compile(r'docs/real-kernels\.md, "([^"]+)"')
COMMITS = re.compile(r"\bcommits? ((?:`?[0-9a-f]+`?(?: \([^)]*\))?(?:, | and )?)+)")
MAIL = re.compile(r"\b(?:20\d{12}\.\d+-[\w-]*|20\d{6}-\w+-v\d+-[\w-]*)(?:@[\w.]+\w)?")
"""Message IDs of patch series, in the two forms that git and b4 make; without the host they are incomplete."""

BARE_SECTION = re.compile(r"\bsections? \d", re.IGNORECASE)
UNPUBLISHED = re.compile(
    r"host-kernel|kernel-spec|native-engine\.md|landscape-2026|\bhouse\.md|\banchors\.md|design-notes"
)
CONTINUED = re.compile(r"\s*\n[ \t]*(?:[#|*]+ ?|//+ ?)?")
"""A line break inside a sentence, with the mark that begins a line of a comment."""


def citing_files() -> list[str]:
    """Files of the project that may cite: text under version control, and what is not committed yet."""
    kinds = [f"*{ending}" for ending in (".py", ".md", ".scenario", ".toml", ".c", ".pml", ".txt")]
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *kinds]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    own = Path(__file__).relative_to(ROOT).as_posix()
    pages = ("docs/specification.md", "docs/real-kernels.md", "CHANGELOG.md")
    return [name for name in names if name not in {own, *pages} and (ROOT / name).is_file()]


if shutil.which("git") is None:
    pytest.skip("git is missing", allow_module_level=True)
TEXTS = {name: CONTINUED.sub(" ", (ROOT / name).read_text("utf-8")) for name in citing_files()}


def sections(text: str) -> dict[str, str | None]:
    """Number of each section of the specification, with its anchor."""
    found = {}
    for heading in HEADING.finditer(text):
        number = re.match(r"\d+(?:\.\d+)?", heading["title"])
        assert number, f"the heading {heading['title']!r} has no number"
        found[number[0]] = heading["anchor"]
    return found


def cited(text: str) -> Iterator[str]:
    """Numbers of the sections that a text cites; of "1.4 to 1.6" each of the three."""
    for citation in CITATION.finditer(text):
        listed = re.sub(r"\([^)]*\)", "", citation[1])
        previous = ""
        for word, number in re.findall(r"(to )?\s*(\d+(?:\.\d+)?)", listed):
            if word:
                chapter, first, last = previous.partition(".")[0], previous.partition(".")[2], number.partition(".")[2]
                yield from (f"{chapter}.{one}" for one in range(int(first) + 1, int(last)))
            yield number
            previous = number


def mails(text: str) -> list[str]:
    """The message IDs in a text, complete or not."""
    return [found[0] for found in MAIL.finditer(text)]


SECTIONS = sections(SPECIFICATION)
TITLES = {heading["title"] for heading in HEADING.finditer(REAL_KERNELS)}


def test_each_section_has_its_anchor() -> None:
    assert len(SECTIONS) > 40
    for number, anchor in SECTIONS.items():
        assert anchor == f"spec-{number.replace('.', '-')}"


def test_each_title_of_real_kernels_has_an_anchor() -> None:
    assert all(heading["anchor"] for heading in HEADING.finditer(REAL_KERNELS))


def test_links_within_the_specification_lead_somewhere() -> None:
    for anchor in re.findall(r"\(#([\w-]+)\)", SPECIFICATION):
        assert anchor in SECTIONS.values(), anchor


def test_every_cited_section_exists() -> None:
    wrong = [(name, number) for name, text in TEXTS.items() for number in cited(text) if number not in SECTIONS]
    assert wrong == []


def test_every_citation_of_a_known_kind_is_seen() -> None:
    text = "Sources: specification 2.2 (rules A1 to A5), 2.7 (COW reuse), 1.4 and 3.1 to 3.3; see also specification 7."
    assert list(cited(text)) == ["2.2", "2.7", "1.4", "3.1", "3.2", "3.3", "7"]
    assert sum(len(list(cited(text))) for text in TEXTS.values()) > 150


def test_a_cited_title_exists() -> None:
    found = {title for text in TEXTS.values() for title in TITLE.findall(text) if title not in ("title", "Title")}
    assert found
    assert found <= TITLES


def test_the_sources_of_askers_and_figures_exist() -> None:
    for source in (*(asker.source for asker in load().askers.values()), *(figure.section for figure in FIGURES)):
        numbers = re.findall(r"\d+\.\d+", source)
        assert numbers, source
        assert set(numbers) <= set(SECTIONS), source


def test_nothing_cites_what_cannot_be_opened() -> None:
    forms = (UNPUBLISHED, BARE_SECTION, re.compile("\u00a7"))
    assert [(name, form.findall(text)) for name, text in TEXTS.items() for form in forms if form.search(text)] == []


def test_commits_and_mails_are_those_of_the_specification() -> None:
    wrong = []
    for name in (name for name in TEXTS if name.startswith(("framework/", "policies/", "workloads/"))):
        for listed in COMMITS.findall(TEXTS[name]):
            commits = re.findall(r"\b[0-9a-f]{7,}\b", re.sub(r"\([^)]*\)", "", listed))
            wrong += [(name, commit) for commit in commits if len(commit) != 12 or commit not in SPECIFICATION]
        wrong += [(name, mail) for mail in mails(TEXTS[name]) if "@" not in mail or mail not in SPECIFICATION]
    assert wrong == []


def test_a_shortened_commit_or_mail_is_seen() -> None:
    assert COMMITS.findall("see commits 6af8cb8 and 1da190f4d0a6.") == ["6af8cb8 and 1da190f4d0a6"]
    assert mails("patch of 20240807115515.1640951-1, 2024-08-07") == ["20240807115515.1640951-1"]
    assert mails("20260412-mapcount-v1-0-05e8dfab52e0@kernel.org.") == [
        "20260412-mapcount-v1-0-05e8dfab52e0@kernel.org"
    ]


def test_every_reference_of_what_ships_can_be_opened() -> None:
    shipped = load()
    offers: tuple[Policy | Workload | SharingPattern, ...] = (
        *shipped.policies.values(),
        *shipped.workloads.values(),
        *shipped.patterns.values(),
    )
    for offer in offers:
        for reference in offer.references:
            known = [*cited(reference), *COMMITS.findall(reference), *mails(reference)]
            listed = [one for one in re.findall(r"\bmsg\d+", reference) if one in SPECIFICATION]
            assert known or listed or (ROOT / reference).is_file(), f"{offer.name}: {reference!r}"
