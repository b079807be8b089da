"""What programs around FolioLab see: options and fixtures of pytest, counted metrics, exit codes, errors."""

from __future__ import annotations

import ast
import inspect
from typing import Final

from foliolab.framework import errors
from foliolab.framework.errors import ExitCode, FolioLabError
from foliolab.framework.reference.table import Code, Table
from foliolab.framework.results.metrics import COUNTED

EXITS: Final = {
    ExitCode.GOOD: "everything was done, and nothing is worse than allowed",
    ExitCode.COMPARISON_FAILED: "a comparison failed: refuted, worse, or asked for and not measured",
    ExitCode.USAGE: "usage: a name, a value, a combination, or a file that cannot be read",
    ExitCode.NOTHING_MEASURED: "nothing could be measured",
    ExitCode.PLUGIN_FAILED: "a plugin failed",
    ExitCode.UNDECIDED: "`verify` refuted nothing, but left a claim undecided or only partly held",
}
"""What each exit code of `foliolab` means."""


def metrics() -> list[Table]:
    """The metrics that `foliolab diff` compares exactly."""
    return [Table(("metric", "meaning"), [(Code(name), text) for name, text in COUNTED.items()])]


def pytest_options() -> list[Table]:
    """The options and fixtures of the pytest plugin."""
    from foliolab.framework.testing import plugin

    options = [(Code(f"{name} {how['metavar']}"), str(how["help"]).replace("%%", "%")) for name, how in plugin.OPTIONS]
    body = ast.parse(inspect.getsource(plugin)).body
    fixtures = [
        (Code(node.name), ast.get_docstring(node) or "")
        for node in body
        if isinstance(node, ast.FunctionDef) and "pytest.fixture" in map(ast.unparse, node.decorator_list)
    ]
    return [Table(("option", "meaning"), options, "Options"), Table(("fixture", "meaning"), fixtures, "Fixtures")]


def exit_codes() -> list[Table]:
    """The exit codes, and the errors behind them."""
    codes = [(Code(f"{int(code)}"), text) for code, text in EXITS.items()]
    kinds = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, FolioLabError)]
    rows = [(Code(one.__name__), f"{int(one.exit_code)}", inspect.getdoc(one) or "") for one in kinds]
    return [Table(("code", "meaning"), codes, "Codes"), Table(("error", "exit code", "meaning"), rows, "Errors")]
