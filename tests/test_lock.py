"""requirements-dev.lock has what pyproject.toml asks for, with hashes, and says nothing of where it came from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

requirements = pytest.importorskip("packaging.requirements")
utils = pytest.importorskip("packaging.utils")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements-dev.lock").read_text("utf-8")
PINS = re.findall(
    r"^([a-z0-9][a-z0-9.-]*)==(\S+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", LOCK, re.M
)


def wanted(extra: str = "dev") -> list[str]:
    """The requirements of the project and of an extra, with those of the extras that it names."""
    found = list(PROJECT["dependencies"])
    for text in PROJECT["optional-dependencies"][extra]:
        one = requirements.Requirement(text)
        found += [more for name in sorted(one.extras) for more in wanted(name)] if one.name == "foliolab" else [text]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("text", wanted())
def test_the_lock_has_what_the_project_asks_for(text: str) -> None:
    """After a change of pyproject.toml, `.ci/lock` makes the lock anew."""
    one = requirements.Requirement(text)
    pinned = [version for name, version, _, _ in PINS if name == utils.canonicalize_name(one.name)]
    assert pinned and all(one.specifier.contains(version) for version in pinned)


def test_every_pin_has_hashes_and_no_line_is_anything_else() -> None:
    rest = re.sub(r"^#.*\n", "", LOCK, flags=re.M)
    for name, version, marker, hashes in PINS:
        head = f"{name}=={version}{f' ; {marker}' if marker else ''} \\\n"
        assert head + hashes in rest
        rest = rest.replace(head + hashes, "", 1)
    assert not rest.strip()
    assert "://" not in LOCK
