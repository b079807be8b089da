"""The command line in a test: in this process, or in one of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework import cli


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """No third party's plugins, no colours that the caller wants, no debugging."""
    monkeypatch.setenv("FOLIOLAB_PLUGINS", "off")
    for name in ("FOLIOLAB_STRICT_PLUGINS", "FOLIOLAB_DEBUG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def foliolab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`foliolab ARGUMENTS` in this process."""

    def run(*arguments: str | os.PathLike[str]) -> Done:
        monkeypatch.setattr(sys, "argv", ["foliolab", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as leaving:
            assert isinstance(leaving.code, int)
            code = leaving.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Done(code, out, err)

    return run


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`foliolab ARGUMENTS` in a process of its own, its output in pipes."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "foliolab.framework.cli", *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def plugins() -> Any:
    """The plugin files of `tests/plugins.py`."""
    path = Path(__file__).parents[1] / "plugins.py"
    spec = importlib.util.spec_from_file_location("foliolab_test_plugins", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
