"""`foliolab list`: everything that plugins offer, and plugins that failed, in plain text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from foliolab.framework.contract.asker import Asker
from foliolab.framework.contract.caller import Caller
from foliolab.framework.contract.detector import Detector
from foliolab.framework.contract.parameter import Parameter
from foliolab.framework.contract.policy import Policy
from foliolab.framework.contract.reporter import Reporter
from foliolab.framework.contract.view import View
from foliolab.framework.contract.workload import Workload
from foliolab.framework.costmodel.processors import processors
from foliolab.framework.kernel.witnesses import Witnesses
from foliolab.framework.plugins.registry import KINDS, Registry
from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.scenario.heading import summary
from foliolab.framework.verify.ledger import Ledger


def data(registry: Registry, ledger: Ledger, witnesses: Witnesses) -> dict[str, Any]:
    """What plugins offer, as JSON values."""
    return {
        "schema": 1,
        "policies": [_policy(policy, registry, ledger, witnesses) for policy in registry.policies.values()],
        "workloads": [_workload(one, registry) for one in registry.workloads.values()],
        "patterns": [
            {"name": one.name, "summary": one.summary, "references": list(one.references)}
            for one in registry.patterns.values()
        ],
        "detectors": [
            {"name": one.name, "summary": one.summary, "references": list(one.references)}
            for one in registry.detectors.values()
        ],
        "scenarios": [
            {"name": name, "summary": summary(path), "file": str(path)} for name, path in registry.scenarios.items()
        ],
        "callers": [
            {"name": one.name, "summary": one.summary, "claims": sorted(one.claims), "references": list(one.references)}
            for one in registry.callers.values()
        ],
        "askers": [
            {
                "name": one.name,
                "who": one.who,
                "when": one.when,
                "exclusive": one.exclusive,
                "shared": one.shared,
                "source": one.source,
                "usual": one.usual,
            }
            for one in registry.askers.values()
        ],
        "reporters": [
            {"name": one.name, "summary": one.summary, "kinds": list(one.kinds)} for one in registry.reporters.values()
        ],
        "views": [
            {"name": one.name, "summary": one.summary, "workspace": one.workspace} for one in registry.views.values()
        ],
        "processors": [{"name": one.name, "summary": one.described, "cpu": one.cpu} for one in processors().processor],
        "plugins": [
            {
                "name": p.name,
                "kind": p.kind,
                "source": p.source,
                "version": p.version,
                **{attribute: list(names) for attribute, names in p.offers.items()},
            }
            for p in registry.plugins
        ],
        "failures": [vars(failure) | {"offers": list(failure.offers)} for failure in registry.failures],
    }


def _policy(policy: Policy, registry: Registry, ledger: Ledger, witnesses: Witnesses) -> dict[str, Any]:
    scheme = policy.with_parameters()
    return {
        "name": policy.name,
        "summary": policy.summary,
        "capabilities": sorted(policy.capabilities),
        "refuted": [vars(one) | {"stale": one.stale} for one in ledger.refuted(scheme)],
        "models": policy.models.description if policy.models else "",
        "witnesses": [vars(one) for one in witnesses.about(scheme)],
        "parameters": [vars(p) | {"choices": list(p.choices)} for p in policy.parameters],
        "references": list(policy.references),
        "layout": policy.layout,
        "max_order": policy.max_order,
        "plugin": registry.origin(policy)[1],
    }


def _workload(workload: Workload, registry: Registry) -> dict[str, Any]:
    return {
        "name": workload.name,
        "summary": workload.summary,
        "orders": list(workload.orders),
        "needs": sorted(workload.needs),
        "threads": workload.threads,
        "references": list(workload.references),
        "plugin": next((p.name for p in registry.plugins if workload.name in p.offers["workloads"]), ""),
    }


def parameter_text(parameter: Parameter) -> str:
    """A parameter: its default, its allowed values and its meaning."""
    allowed = "|".join(parameter.choices) or f"{parameter.low} to {parameter.high}"
    meaning = f": {parameter.doc}" if parameter.doc else ""
    return f"{parameter.name}={parameter.default} ({allowed}){meaning}"


def render(registry: Registry, out: Plain, ledger: Ledger, witnesses: Witnesses) -> None:
    """Print what plugins offer, and for each policy the claims that `verify` refuted, and its witnesses."""
    column = 4 + max((len(n) for n in (*registry.policies, *registry.workloads, *registry.patterns)), default=10)
    out.line("Policies", "strong")
    for policy in registry.policies.values():
        out.item(policy.name, policy.summary, column=column, style="name")
        out.item("", f"claims: {_words(policy.capabilities)}", column=column)
        refuted = ledger.refuted(policy.with_parameters())
        for verdict in refuted:
            out.item("", f"✗ {verdict.headline}", column=column)
        for source in dict.fromkeys(verdict.source for verdict in refuted):
            out.item("", f"  {source}", column=column)
        if policy.models is not None:
            out.item("", f"models: {policy.models.description}", column=column)
            out.item("", f"witnesses: {witnesses.summary(policy.with_parameters())}", column=column)
        if policy.parameters:
            chosen = ", ".join(f"{p.name}={p.default}" for p in policy.parameters)
            out.item("", f"parameters: {chosen}", column=column)
    out.line()
    out.line("Workloads", "strong")
    for workload in registry.workloads.values():
        needs = f" (needs {_words(workload.needs)})" if workload.needs else ""
        out.item(workload.name, workload.summary + needs, column=column, style="name")
    out.line()
    out.line("Sharing patterns", "strong")
    for pattern in registry.patterns.values():
        out.item(pattern.name, pattern.summary, column=column, style="name")
    out.line()
    scenarios(registry, out)
    out.line()
    others: dict[str, Mapping[str, Asker | Caller | Detector | Reporter | View]] = {
        "Callers": registry.callers,
        "Askers": registry.askers,
        "Detectors, for partial": registry.detectors,
        "Report formats": registry.reporters,
        "Views of the window": registry.views,
    }
    for title, offered in others.items():
        if offered:
            out.line(title, "strong")
            for name, one in offered.items():
                out.item(name, one.summary, column=column, style="name")
            out.line()
    out.line("Processors, for compare --cpu", "strong")
    for processor in processors().processor:
        out.item(processor.name, processor.described, column=column, style="name")
    out.line()
    _plugins(registry, out)


def scenarios(registry: Registry, out: Plain) -> None:
    """Print the scenarios, each with the first sentence of its text."""
    column = 4 + max((len(name) for name in registry.scenarios), default=10)
    out.line("Scenarios", "strong")
    for name, path in registry.scenarios.items():
        out.item(name, summary(path), column=column, style="name")


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _plugins(registry: Registry, out: Plain) -> None:
    out.line("Plugins", "strong")
    for plugin in registry.plugins:
        offered = [
            f"{len(names)} {kind.name if len(names) == 1 else kind.plural}"
            for kind in KINDS
            if (names := plugin.offers[kind.attribute])
        ]
        out.item(f"✓ {plugin.name}", f"{plugin.source}: {', '.join(offered) or 'nothing for this program'}")
    for failure in registry.failures:
        out.item(f"✗ {failure.name} failed", f"({failure.phase}) {failure.source}", style="quiet")
        out.item("", failure.message, indent=0, column=4)
