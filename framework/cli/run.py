"""Run scenarios on the model and on the running kernel.

SCENARIO is a file, the name of a scenario that ships, `all`, or - for standard input. Without it, the scenarios are
listed. docs/scenarios.md explains the format and the output.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework import intake
from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.engine.engine import Execution
    from foliolab.framework.kernel.sidebyside import Backend
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.report.pages.page import Page
    from foliolab.framework.results.saving import Saving
    from foliolab.framework.scenario.result import ScenarioResult
    from foliolab.framework.scenario.syntax import Scenario
    from foliolab.framework.verify.counterexample import Counterexample

USUAL: Final = "mm-id"
"""The policy of a scenario without a policy."""

STDIN: Final = "<stdin>"
SMALL: Final = 1 << 14
"""Pages of address space times steps: a fifth of a second."""


def run(  # noqa: PLR0913  (one parameter per option)
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCENARIO]...",
            help="Files, names of scenarios, all, or - for standard input. [list them]",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            "--policies",
            metavar="LIST",
            help="Policies, separated by commas. [those that the scenario names]",
        ),
    ] = None,
    caller: _common.CallerName = None,
    on: Annotated[str, typer.Option("--on", metavar="model|kernel|both", help="Where to run it.")] = "model",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results as JSON.")] = None,
    formatted: Annotated[bool, typer.Option("--format", help="Print the text as the formatter writes it.")] = False,
    write: Annotated[bool, typer.Option("--write", help="With --format: rewrite the file.")] = False,
    interpreted: Annotated[
        bool | None,
        typer.Option(
            "--interpreted/--native", help="Interpret or compile the policies' code. [small scenarios are interpreted]"
        ),
    ] = None,
    save_interleaving: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the first interleaving of steps at once that breaks an expectation; `foliolab step` walks "
            "through it.",
        ),
    ] = None,
    wait: _common.Wait = 0.0,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Run scenarios step by step, on the model or on the running kernel."""
    backend: Backend = "both" if on == "both" else "kernel" if on == "kernel" else "model"
    if on != backend:
        raise UsageError(f"a scenario cannot run on {on!r}", "choose --on model, kernel or both")
    if write and not formatted:
        raise UsageError("--write applies to --format only", "add --format")
    _common.writable(save_interleaving)
    found = _common.registry(plugin, strict)
    _common.warn(found)
    if not scenarios:
        from foliolab.framework.report import listing
        from foliolab.framework.report.pages.plain_text import Plain

        listing.scenarios(found, Plain())
        return
    names = [name for word in scenarios for name in (found.scenarios if word == "all" else [word])]
    read = [_read(found, name) for name in names]
    if formatted:
        for scenario in read:
            _format(scenario, write)
        return
    chosen = [(scenario, _common.under(found, _policies(found, scenario, policy), caller)) for scenario in read]
    from foliolab.framework.results.saving import Saving

    results: list[ScenarioResult] = []
    saving = Saving(json, always_beside=True, share=1)
    try:
        examples = _run_all(found, chosen, backend, interpreted, wait, results, saving)
        if save_interleaving is not None:
            _save_interleaving(examples, save_interleaving)
    except KeyboardInterrupt:
        _common.tell(saving.final(lambda path: _write_json(results, path), False))
        raise
    saving.final(lambda path: _write_json(results, path), True)
    saving.check()
    if not all(result.good for result in results):
        raise typer.Exit(ExitCode.COMPARISON_FAILED)
    if backend == "kernel" and not any(result.kernel for result in results):
        raise typer.Exit(ExitCode.NOTHING_MEASURED)


# -- reading --------------------------------------------------------------------------------------
def _read(found: Registry, name: str) -> Scenario:
    from foliolab.framework.scenario import parser

    if name == "-":
        return parser.parse(parser.read(sys.stdin.buffer, STDIN), STDIN)
    path = Path(name)
    if path.suffix == ".scenario" or len(path.parts) > 1 or os.path.exists(path):
        return parser.load(path)
    return parser.load(found.scenario(name))


def _policies(found: Registry, scenario: Scenario, written: list[str] | None) -> list[Scheme]:
    from foliolab.framework.kernel.sidebyside import named

    if written:
        return found.parse_policies(written)
    return list(dict.fromkeys(named(found, scenario).values())) or [found.policy(USUAL)]


def _format(scenario: Scenario, write: bool) -> None:
    from foliolab.framework.document import write_atomically
    from foliolab.framework.scenario.formatter import format_scenario

    text = format_scenario(scenario)
    if not write:
        _common.put(text)
    elif scenario.source == STDIN or not os.path.isfile(scenario.source):
        raise UsageError("standard input cannot be rewritten", "leave out --write")
    elif Path(scenario.source).read_bytes() != text.encode():
        write_atomically(Path(scenario.source), text.encode())


# -- running ------------------------------------------------------------------------------------------
def _run_all(
    found: Registry,
    chosen: Sequence[tuple[Scenario, list[Scheme]]],
    backend: Backend,
    interpreted: bool | None,
    wait: float,
    results: list[ScenarioResult],
    saving: Saving,
) -> list[Counterexample]:
    """Run scenarios, print the result of each, and add it to `results`, which `saving` writes.

    Returns:
        for each scenario in which an interleaving of steps at once breaks something, the first one.
    """
    from foliolab.framework.engine.engine import native_missing
    from foliolab.framework.kernel import needs, sidebyside
    from foliolab.framework.report import scenario as report
    from foliolab.framework.report.pages.terminal import TerminalPage

    page = TerminalPage()
    examples: list[Counterexample] = []
    missing = "" if interpreted else native_missing()
    if missing:
        _common.say(missing)
    with ExitStack() as held:
        kernel = None if backend == "model" else held.enter_context(sidebyside.this_kernel(wait))
        if kernel is not None and (why := needs.hidden()):
            _common.say(f"no page frame numbers ({why}); a copy and a reuse are both `faulted`")
        for scenario, schemes in chosen:
            if results:
                page.line()
            small = interpreted is None and _is_small(scenario)
            way: Execution = "interpreted" if interpreted or missing or small else "native"
            with intake.named(scenario.source):
                results.append(sidebyside.run(found, scenario, schemes, backend, way, kernel))
            saving.partly(lambda path: _write_json(results, path))
            report.render(results[-1], page)
            if (example := _broken_interleaving(found, scenario, results[-1])) is not None:
                examples.append(example)
                _show_interleaving(example, found.policy(example.policy), page)
    if len(results) > 1:
        page.line()
        report.summary(results, page)
    _common.say_refuted(found, dict.fromkeys(scheme for _, schemes in chosen for scheme in schemes), page)
    return examples


def _broken_interleaving(found: Registry, scenario: Scenario, result: ScenarioResult) -> Counterexample | None:
    """The first interleaving of a scenario's steps at once that breaks an expectation or a law."""
    import msgspec

    from foliolab.framework.kernel.sidebyside import meant, named
    from foliolab.framework.verify.interleavings import first_broken

    names = named(found, scenario)
    for run in result.runs:
        scheme = found.policy(run.by)
        example = first_broken(run, scenario, scheme, meant(names, scheme))
        if example is not None:
            kind, source = found.origin(scheme)
            plugin = os.path.abspath(source) if kind == "file" else ""
            return msgspec.structs.replace(example, command=_common.typed(), plugin=plugin)
    return None


def _show_interleaving(example: Counterexample, scheme: Scheme, page: Page) -> None:
    from foliolab.framework.report import interleaving
    from foliolab.framework.verify.timeline import Timeline

    page.line()
    page.line(f"The first interleaving under {example.policy} in which that is so:", "strong")
    interleaving.render(Timeline(example, scheme), page)


def _save_interleaving(examples: Sequence[Counterexample], path: Path) -> None:
    """Write the first interleaving that breaks something, and say how to step through it."""
    import shlex

    if not examples:
        _common.say(f"{path} is not written: no interleaving of steps at once breaks an expectation")
        return
    examples[0].save(path)
    _common.say(f"{path} has the interleaving: {shlex.join(examples[0].stepping(path))}")


def _is_small(scenario: Scenario) -> bool:
    """Whether a run takes less time interpreted than native code takes to compile, or even to load."""
    from foliolab.framework.scenario.space import Layout

    return Layout(scenario.regions).nr_pages * len(scenario.steps) <= SMALL


def _write_json(results: Sequence[ScenarioResult], path: Path) -> None:
    import json

    from foliolab.framework.document import write_atomically
    from foliolab.framework.report import scenario as report

    write_atomically(path, json.dumps(report.data(results), indent=1).encode() + b"\n")
