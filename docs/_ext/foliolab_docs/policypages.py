"""A page for each policy, made from its declaration, its text, and the kept verdicts."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import Final

import foliolab.framework
import foliolab.policies
import foliolab.workloads
from foliolab.framework.anatomy.atomics import operations
from foliolab.framework.anatomy.layout import ORDERS, cost
from foliolab.framework.contract.hooks import HOOK_ARGUMENTS
from foliolab.framework.contract.policy import CAPABILITIES, Policy, Scheme
from foliolab.framework.contract.stored import Stored
from foliolab.framework.engine.structs import STRUCT_PAGE, page_stride
from foliolab.framework.kernel.witnesses import Witnesses
from foliolab.framework.plugins.declaration import module_of
from foliolab.framework.plugins.registry import load
from foliolab.framework.precision.result import Point, PrecisionResult
from foliolab.framework.precision.session import PrecisionRequest, precision
from foliolab.framework.report.words import share_text, size_text
from foliolab.framework.verify.ledger import KeptVerdict, Ledger
from foliolab_docs import findingpages, picture, states
from foliolab_docs.markdown import code, fenced, prose, table

FOLDER: Final = Path(__file__).parents[2] / "policies"
"""The pages are written to this folder below the documentation."""
STAMP: Final = "made-from"
"""A file beside the pages with the digest of their sources. Generated parts of other pages depend on it, too."""
MARKS: Final = {"held": "✓", "partly": "◐", "refuted": "✗", "undecided": "?"}
PATTERN_MMS: Final = (2, 3)
PATTERN_FOLIOS: Final = 2
EVERY: Final = "what every policy owes"


class Sources:
    """The sources of the pages.

    Attributes:
        registry: the policies.
        ledger: the kept verdicts about their texts.
        witnesses: the kernels that their texts were held against.
    """

    def __init__(self) -> None:
        self.registry = load()
        self.ledger = Ledger.of(self.registry)
        self.witnesses = Witnesses.of(self.registry)

    def precision(self, scheme: Scheme) -> PrecisionResult:
        """The precision of a policy under every sharing pattern, interpreted, with few folios."""
        request = PrecisionRequest(
            patterns=list(self.registry.patterns.values()),
            schemes=[scheme],
            mms=PATTERN_MMS,
            folios=PATTERN_FOLIOS,
            execution="interpreted",
        )
        return precision(request)


def page(policy: Policy, sources: Sources) -> str:
    """The page of a policy."""
    scheme = policy.with_parameters()
    kept = sources.ledger.verdicts(scheme)
    module = module_of(policy)
    file = Path(getattr(module, "__file__", None) or "")
    lines = [
        f"# {policy.name}",
        "",
        f"{prose(policy.summary)}.",
        "",
        prose(_beyond_title(inspect.getdoc(module) or "")),
        "",
        "## References",
        "",
        *(f"- {prose(one)}" for one in policy.references),
        "",
    ]
    if models := policy.models:
        lines += [
            f"It models {prose(models.description)}; `foliolab kernel check` compares it with such a kernel.",
            "",
            "## Kernels held against it",
            "",
            *(f"- {prose(one)}" for one in sources.witnesses.sentences(scheme)),
            "",
        ]
    for part in (
        _stored(scheme), _parameters(policy), _claims(scheme, kept), _states(scheme), _cost(scheme),
        _precision(scheme, sources.precision(scheme)), _limits(scheme, kept), _text(policy, file),
    ):  # fmt: skip
        lines += part
    return "\n".join(lines)


def _beyond_title(docstring: str) -> str:
    """A module's docstring, without the name at its beginning."""
    _, _, rest = docstring.partition(": ")
    return rest[:1].upper() + rest[1:]


def _place(stored: Stored) -> str:
    if stored.per == "mm":
        return f"struct mm, byte {stored.offset} of the policy's part"
    where = "every struct page" if stored.per == "page" else f"struct page {stored.page}"
    return f"{where}, byte {stored.offset}"


def _stored(scheme: Scheme) -> Iterator[str]:
    yield from ("## What it stores", "")
    rows = []
    for one in scheme.fields:
        kind = f"{one.ctype}[{one.count}]" if one.count > 1 else one.ctype
        bits = ", ".join(f"{bit.name} {_range(bit.low, bit.width)}" for bit in one.bits)
        said = "; ".join(part for part in (one.doc, f"bits: {bits}" if bits else "", _traits(one)) if part)
        rows.append((code(one.name), kind, _place(one), "–" if one.init is None else one.init, prose(said)))
    yield from table(("field", "type", "where", "initially", "meaning"), rows)
    yield f"It extends struct folio of layout {scheme.policy.layout}. What that takes, for the default parameters:"
    yield ""
    costs = [cost(scheme, order) for order in ORDERS]
    yield from table(
        ("folio", "bits used per folio", "bits per page", "bytes by which struct pages grow"),
        ((size_text(4 << one.order), f"{one.bits:,}", f"{one.bits_per_page:.2f}", one.extra) for one in costs),
        right=1,
    )


def _range(low: int, width: int) -> str:
    return str(low) if width == 1 else f"{low}–{low + width - 1}"


def _traits(stored: Stored) -> str:
    traits = (
        (stored.wraps, "arithmetic modulo its width"),
        (stored.overlays, "another view of the same bytes"),
        (stored.transient, "need not return to the initial value"),
    )
    return ", ".join(words for holds, words in traits if holds)


def _parameters(policy: Policy) -> Iterator[str]:
    yield from ("## Parameters", "")
    if not policy.parameters:
        yield from ("It has none.", "")
        return
    rows = [
        (code(one.name), one.default, ", ".join(one.choices) or f"{one.low:,} to {one.high:,}", prose(one.doc))
        for one in policy.parameters
    ]
    yield from table(("parameter", "default", "values", "what it chooses"), rows)
    first = policy.parameters[0]
    yield from (f"Written as `{policy.name}:{first.name}={first.default}`.", "")


def _known(kept: KeptVerdict | None) -> str:
    """The kept verdict about a claim, in words."""
    if kept is None:
        return "not verified"
    message = f": {kept.message}" if kept.message else ""
    return prose(f"{MARKS[kept.verdict]} {kept.verdict} ({kept.source}){message}")


def _claims(scheme: Scheme, kept: dict[str, KeptVerdict]) -> Iterator[str]:
    yield from ("## What it claims, and what was found", "")
    rows = [(EVERY, "the laws that hold for every policy", _known(kept.get("")))]
    rows += [(code(one), CAPABILITIES[one], _known(kept.get(one))) for one in sorted(scheme.capabilities)]
    yield from table(("claim", "meaning", "found by `foliolab verify`"), rows)
    hooks = [code(name) for name in HOOK_ARGUMENTS if name in scheme.policy.hooks.given()]
    defaults = [code(name) for name in HOOK_ARGUMENTS if name not in scheme.policy.hooks.given()]
    yield f"The policy writes the hooks {', '.join(hooks)}."
    if defaults:
        yield f"The default serves for {', '.join(defaults)}."
    yield ""


def _states(scheme: Scheme) -> Iterator[str]:
    yield from (
        "## The states of a folio",
        "",
        "The states were found by trying every operation in every state on the interpreted engine, for a folio of "
        f"{states.PAGES} pages.",
        "Squares are pages of the folio, filled where the MM maps them. Rows are ordered by the number of mappings.",
        "Fields that hold their initial value are not shown.",
        "",
    )
    for setup, title in (
        (states.TWO, "Two MMs: fork, exit, and unmapping the first page"),
        (states.THREE, "Three MMs: a parent forks twice, then they exit in any order"),
    ):
        graph = states.explored(scheme, setup)
        yield from (f"### {title}", "")
        yield from _drawn(graph, f"{scheme.policy.name}: {title}")
        wrong = sorted({one.verdict for one in graph.states} & {"false shared", "unsafe: exclusive"})
        counts = f"{len(graph.states)} states, {len(graph.transitions)} transitions"
        yield f"{counts}; wrong answers: {', '.join(wrong) or 'none'}."
        if not graph.complete:
            yield f"There are more than {states.MOST_STATES} states; these are the first ones."
        if graph.left_out:
            ignored = ", ".join(map(code, graph.left_out))
            yield f"Ignored fields, which need not return to their initial values: {ignored}."
        yield ""


def _drawn(graph: states.Graph, title: str) -> Iterator[str]:
    """A picture of the states, and the transitions as a table."""
    rows = "".join(
        f"<tr><td>{one.source}</td><td>{one.operation}</td><td>{one.target}</td>"
        f"<td>{graph.states[one.target].verdict or 'not mapped'}</td></tr>"
        for one in graph.transitions
    )
    head = "<tr><th>from</th><th>operation</th><th>to</th><th>answer there</th></tr>"
    listed = f"<details><summary>The transitions as a table</summary><table>{head}{rows}</table></details>"
    if not picture.available():
        yield from (picture.ABSENT, "")
        yield from fenced("{raw} html", [listed])
        return
    svg = picture.states(graph, title)
    yield from fenced("{raw} html", [f'<div class="foliolab-scroll">{svg}</div>{listed}'])


def _cost(scheme: Scheme) -> Iterator[str]:
    yield from ("## What an operation costs", "")
    yield "Atomic read-modify-writes on this policy's fields, for one operation on one whole folio, counted:"
    yield ""
    rows = []
    for one in operations(scheme):
        counted = (one.atomics, one.locks, f"{one.per_page or 0:.2f}")
        counts = ("–", "–", prose(one.problem)) if one.atomics is None else counted
        rows.append((one.name, f"{one.level}, {size_text(4 << one.order)}", *counts))
    yield from table(("operation", "mapped by", "atomics", "of them locks", "atomics a page"), rows, right=2)


def _precision(scheme: Scheme, result: PrecisionResult) -> Iterator[str]:
    size = size_text(4 << result.order)
    yield from ("## How precise, in small", "")
    yield (
        "False shared: of the operations after which one MM maps the folio, those after which the policy calls it "
        "shared. Unsafe: of those after which several MMs map it, those after which the policy calls it exclusive. "
        "Each sharing pattern has "
        f"{result.folios} folios of {size}, seed {result.seed}; `foliolab precision` shows more, also by time."
    )
    yield ""
    points = {(one.workload, one.mms): one for one in result.points if one.policy == scheme.name}
    head = ["pattern"]
    for mms in result.mms:
        head += [f"false shared, {mms} MMs", f"unsafe, {mms} MMs"]
    rows = []
    for workload in result.workloads:
        row = [code(workload.name)]
        for mms in result.mms:
            row += _wrong(points.get((workload.name, mms)))
        rows.append(row)
    yield from table(head, rows, right=1)


def _wrong(point: Point | None) -> list[str]:
    if point is None or point.stopped:
        return ["–", prose(point.stopped) if point else "–"]
    return [
        share_text(point.false_shared.ops, point.exclusive_ops),
        share_text(point.unsafe.ops, point.shared_ops),
    ]


def _limits(scheme: Scheme, kept: dict[str, KeptVerdict]) -> Iterator[str]:
    yield from ("## Known limits and findings", "")
    policy = scheme.policy
    yield f"- The largest folio is of order {policy.max_order} ({size_text(4 << policy.max_order)})."
    yield f"- MM IDs go up to {scheme.max_mm_id:,}; fork fails beyond."
    yield f"- A folio may have {policy.max_mappings:,} mappings at most, all MMs together."
    growth = page_stride(scheme) - STRUCT_PAGE
    if growth:
        yield f"- Its fields do not fit today's struct page: each grows by {growth} bytes."
    absent = sorted(CAPABILITIES.keys() - scheme.capabilities - {f for f in CAPABILITIES if f.startswith("exact-for")})
    if absent:
        yield f"- It does not claim {', '.join(map(code, absent))}."
    for one in kept.values():
        if one.verdict == "refuted":
            claim = code(one.claim) if one.claim else EVERY
            pages = [f"[{found.law}](../findings/{found.name}.md)" for found in findingpages.of(scheme, one)]
            yield f"- Refuted: {claim} ({one.source}): {prose(one.message)}. The finding: {', '.join(pages)}."
    if policy.mutants:
        caught = len(policy.wrong_variants())
        yield f"- It has {caught} wrong variants, which `foliolab kernel check --self-test` must catch."
    yield ""


def _text(policy: Policy, file: Path) -> Iterator[str]:
    yield from ("## Its text", "", f"`policies/{file.name}`:", "")
    path = os.path.relpath(file, FOLDER)
    yield from fenced(f"{{literalinclude}} {path}", [], [":language: python"])


def overview(sources: Sources) -> list[str]:
    """A table of all policies."""
    rows = []
    for name, policy in sources.registry.policies.items():
        scheme = policy.with_parameters()
        refuted = [one.claim or EVERY for one in sources.ledger.refuted(scheme)]
        small = cost(scheme, 4)
        rows.append((
            f"[{name}](policies/{name}.md)", prose(policy.summary), f"{small.bits_per_page:.1f}",
            ", ".join(map(code, sorted(scheme.capabilities))), ", ".join(refuted) or "–", _witnessed(scheme, sources),
        ))  # fmt: skip
    head = ("policy", "what it is", f"bits a page, {size_text(4 << 4)}", "claims", "refuted", "kernels held against it")
    return table(head, rows)


def _witnessed(scheme: Scheme, sources: Sources) -> str:
    """How many kernels a policy was held against; it models no kernel: a dash."""
    if scheme.policy.models is None:
        return "–"
    found = sources.witnesses.about(scheme)
    return f"{len(found)}, {sum(not one.agrees for one in found)} of them differ" if found else "none"


def verdicts(sources: Sources) -> list[str]:
    """A table of the kept verdicts about every claim of every policy."""
    schemes = [policy.with_parameters() for policy in sources.registry.policies.values()]
    claims = [one for one in CAPABILITIES if any(one in scheme.capabilities for scheme in schemes)]
    rows = []
    for scheme in schemes:
        found = sources.ledger.verdicts(scheme)
        marks = [_mark(found.get(""))]
        for claim in claims:
            claimed = claim in scheme.capabilities
            marks.append(_mark(found.get(claim)) if claimed else "")
        rows.append((f"[{scheme.policy.name}](/policies/{scheme.policy.name}.md)", *marks))
    return table(("policy", EVERY, *claims), rows)


def _mark(kept: KeptVerdict | None) -> str:
    if kept is None:
        return "not verified"
    return f"{MARKS[kept.verdict]} (stale)" if kept.stale else MARKS[kept.verdict]


def digest() -> str:
    """The digest of all sources of generated pages: the program's files, the findings, and this extension."""
    made = sha256()
    for module in (foliolab.framework, foliolab.policies, foliolab.workloads):
        folder = Path(module.__path__[0]).resolve()
        for file in sorted(folder.rglob("*")):
            if file.suffix in (".py", ".json", ".toml", ".scenario"):
                made.update(f"{folder.name}/{file.relative_to(folder)}".encode() + file.read_bytes())
    for file in (*sorted(Path(__file__).parent.glob("*.py")), *findingpages.SOURCES):
        made.update(file.read_bytes())
    return made.hexdigest()


def _write_page(name: str, folder: Path) -> None:
    """Write a page in a pool's process, which loads the policies itself: functions cannot be sent to it."""
    sources = Sources()
    (folder / f"{name}.md").write_text(page(sources.registry.policies[name], sources), "utf-8")


def write(sources: Sources, folder: Path = FOLDER, pool: Executor | None = None) -> None:
    """Write every page unless nothing has changed, and remove the pages of policies that are gone.

    Args:
        sources: the policies.
        folder: where the pages lie.
        pool: of processes that write a page each; without it this process writes them all.
    """
    stamp = folder / STAMP
    now = digest()
    names = {f"{name}.md" for name in sources.registry.policies}
    there = {file.name for file in folder.glob("*.md")}
    if stamp.exists() and stamp.read_text("utf-8") == now and there == names:
        return
    findings = pool.submit(findingpages.write) if pool else None
    folder.mkdir(exist_ok=True)
    stamp.unlink(missing_ok=True)
    for name in there - names:
        (folder / name).unlink()
    if pool:
        list(pool.map(_write_page, sources.registry.policies, repeat(folder)))
    else:
        for name, policy in sources.registry.policies.items():
            (folder / f"{name}.md").write_text(page(policy, sources), "utf-8")
    if findings:
        findings.result()
    stamp.write_text(now, "utf-8")
