"""What the options of the pytest plugin choose: policies, workloads, sizes and seeds."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.csource.name import TREE
from foliolab.framework.errors import UsageError
from foliolab.framework.isolation.scratch import Scratch
from foliolab.framework.plugins.selection import file_and_policy, parse_sizes, size_text, split

if TYPE_CHECKING:
    import pytest

    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.contract.workload import Workload
    from foliolab.framework.engine.machine import Machine
    from foliolab.framework.plugins.registry import Registry

PAGE: Final = 4 << 10
SHIM: Final = "from {module} import {attribute} as POLICY\n"

Chosen = tuple[Sequence[Any], Sequence[str]]
_KEY: Final = "_foliolab_selection"


class Selection:
    """The registry and the policies of a run of pytest.

    Args:
        texts: the arguments of --policy; without any, all policies.
        baseline: the argument of --baseline-policy; by default, the first of the policies.

    Attributes:
        registry: all plugins, with the files that `texts` name.
        schemes: the policies.
        files: plugin files that another process needs for the policies.

    Raises:
        UsageError: there is no such policy, file, module or attribute.
    """

    def __init__(self, texts: Sequence[str], baseline: str | None = None) -> None:
        from foliolab.framework.plugins import registry as room

        self._folder = Scratch()
        weakref.finalize(self, self._folder.remove)
        names: list[str] = []
        self.files: list[str] = []
        for text in [*texts, *([baseline] if baseline else [])]:
            file, name = self._source(text)
            if file:
                self.files.append(file)
            names.append(name or f"*{file}")
        self.registry: Registry = room.load(self.files)
        schemes = [scheme for name in names for scheme in self._schemes(name)]
        wanted = schemes[: len(schemes) - 1] if baseline else schemes
        self.schemes: list[Scheme] = list(dict.fromkeys(wanted)) or [
            policy.with_parameters() for policy in self.registry.policies.values()
        ]
        self.baseline: Scheme = schemes[-1] if baseline else self.schemes[0]

    def _source(self, text: str) -> tuple[str, str]:
        """The plugin file and the name of the policy. One of them is empty: a file stands for all its policies."""
        file, name = file_and_policy(text)
        if file.startswith(TREE):
            return file, name
        if file:
            where = str(Path(file).expanduser().resolve())
            return where, f"{where}::{name}"
        path = Path(text)
        if path.suffix == ".py":
            if not path.is_file():
                raise UsageError(f"--policy {text}: there is no such file", "name an existing Python file")
            return str(path.resolve()), ""
        if _in_module(text):
            module, _, attribute = text.partition(":")
            return self._shim(module, attribute), ""
        return "", text

    def _shim(self, module: str, attribute: str) -> str:
        """Write a plugin file that offers a policy of an importable module, so that the worker can load it."""
        try:
            getattr(import_module(module), attribute)
        except Exception as fault:  # the module's own code can raise anything
            raise UsageError(
                f"--policy {module}:{attribute} cannot be imported: {type(fault).__name__}: {fault}",
                "name an importable module and a Policy in it",
            ) from fault
        path = self._folder.path / f"{module.replace('.', '_')}_{attribute.lower()}.py"
        path.write_text(SHIM.format(module=module, attribute=attribute))
        return str(path)

    def _schemes(self, name: str) -> list[Scheme]:
        if not name.startswith("*"):
            return self.registry.parse_policies([name])
        file = name[1:]
        plugin = next((one for one in self.registry.plugins if one.source == file), None)
        if plugin is None:
            why = next((one.message for one in self.registry.failures if one.source == file), "it was not loaded")
            raise UsageError(f"--policy {file}: {why}", "correct it; `foliolab list` shows every plugin")
        return [self.registry.policy(one) for one in plugin.offers["policies"]]


def _in_module(text: str) -> bool:
    """Whether an argument of --policy is `module:attr`."""
    _, colon, attribute = text.partition(":")
    return bool(colon) and "=" not in attribute and "::" not in text


def selection(config: pytest.Config) -> Selection:
    """The selection of this run; made once."""
    found = getattr(config, _KEY, None)
    if not isinstance(found, Selection):
        found = Selection(config.getoption("foliolab_policy") or (), config.getoption("foliolab_baseline_policy"))
        setattr(config, _KEY, found)
    return found


def _named(found: Sequence[Scheme | Workload]) -> Chosen:
    return found, [one.name for one in found]


def workloads(config: pytest.Config) -> list[Workload]:
    """The workloads of --workload; by default all except programs of several phases."""
    registry = selection(config).registry
    texts = config.getoption("foliolab_workload")
    if texts:
        return registry.parse_workloads(texts)
    return [workload for workload in registry.workloads.values() if not workload.program]


def _executions(config: pytest.Config) -> Chosen:
    from foliolab.framework.engine.engine import native_missing

    found = ["interpreted"] if native_missing() else ["interpreted", "native"]
    return found, found


def _sizes(config: pytest.Config) -> Chosen:
    orders = parse_sizes(config.getoption("foliolab_sizes"))
    return orders, [size_text(PAGE << order) for order in orders]


def _seeds(config: pytest.Config) -> Chosen:
    try:
        seeds = [int(text) for text in split([config.getoption("foliolab_seeds")])]
    except ValueError as fault:
        raise UsageError(f"--seeds: {fault}", "write numbers, such as --seeds 1,2,3") from fault
    return seeds, [f"seed{seed}" for seed in seeds]


OF: Final[dict[str, Callable[[pytest.Config], Chosen]]] = {
    "foliolab_policy": lambda config: _named(selection(config).schemes),
    "foliolab_workload": lambda config: _named(workloads(config)),
    "foliolab_execution": _executions,
    "foliolab_size": _sizes,
    "foliolab_seed": _seeds,
}
"""The values and ids of each parametrized fixture."""


def check(config: pytest.Config) -> None:
    """Read the options before the first test. A policy of a module waits for pytest to make the module importable.

    Raises:
        UsageError: an option is not understood, or names what there is not.
    """
    _sizes(config)
    _seeds(config)
    texts = [*(config.getoption("foliolab_policy") or ()), config.getoption("foliolab_baseline_policy") or ""]
    if not any(map(_in_module, texts)):
        workloads(config)


def machine(scheme: Scheme, execution: str) -> Machine:
    """A small machine."""
    from foliolab.framework.engine.engine import Shape
    from foliolab.framework.engine.machine import Machine

    shape = Shape(512, 4, 64, max_order=min(4, scheme.policy.max_order))
    return Machine(scheme, shape, "native" if execution == "native" else "interpreted")
