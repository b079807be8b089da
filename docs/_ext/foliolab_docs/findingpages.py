"""A page for each law that `foliolab verify` broke in a shipped policy, made from what it kept.

Nothing is typed here about any finding: the counterexample comes from the kept verdicts, and is played when the page is
made; what a running kernel showed comes from `docs/data/stress.json`; what would mend it comes from
`docs/data/mends.py` and from other shipped policies, and the same program is run on their texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import FolioLabError
from foliolab.framework.kernel.witnesses import Witnesses
from foliolab.framework.plugins.registry import Registry, load
from foliolab.framework.report.walkthrough import counterexample as walks
from foliolab.framework.report.walkthrough.html import page as html_page
from foliolab.framework.report.walkthrough.mail import mail
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.explored.attack import Explored
from foliolab.framework.verify.explored.programs import program_of
from foliolab.framework.verify.laws import LAWS
from foliolab.framework.verify.ledger import KeptVerdict, Ledger
from foliolab.framework.verify.playback import play
from foliolab.framework.verify.timeline import Timeline
from foliolab_docs.markdown import code, fenced, prose, table

FOLDER: Final = Path(__file__).parents[2] / "findings"
"""The pages are written to this folder below the documentation."""
DATA: Final = Path(__file__).parents[2] / "data"
STRESS: Final = DATA / "stress.json"
"""What `python tests/benchmarks/stress.py` counted on running kernels."""
KERNEL_TEXTS: Final = DATA / "kernel-texts.json"
"""What `python tests/benchmarks/kernel_texts.py` found of the kernel's own C."""
MENDS: Final = DATA / "mends.py"
"""A plugin with a variant of each text that was mended; its name ends with MENDED."""
MENDED: Final = "-mended"
SOURCES: Final = (STRESS, KERNEL_TEXTS, MENDS, DATA / "mends-findings.json")
MAIL_LINES: Final = 60
SECONDS: Final = 30.0
"""For the search of one program on one other text."""
OWED: Final = "what every policy owes"


@dataclass(frozen=True)
class Found:
    """A law that broke in a shipped policy.

    Attributes:
        scheme: the policy.
        kept: the verdict on the claim.
        law: that broke.
        example: the shortest counterexample; None where the verdict was kept without one.
    """

    scheme: Scheme
    kept: KeptVerdict
    law: str
    example: Counterexample | None

    @property
    def name(self) -> str:
        """The page's name in its folder: the policy and the law."""
        return f"{self.scheme.policy.name}-{self.law}"


def found(registry: Registry, ledger: Ledger) -> list[Found]:
    """All findings about the shipped policies, as the kept verdicts have them."""
    every = []
    for policy in registry.policies.values():
        scheme = policy.with_parameters()
        for kept in ledger.refuted(scheme):
            every += of(scheme, kept)
    return every


def of(scheme: Scheme, kept: KeptVerdict) -> list[Found]:
    """The findings of one refuted claim, one for each law that broke."""
    examples = [_example(one) for one in kept.counterexamples]
    return [Found(scheme, kept, one.law, one) for one in examples] or [Found(scheme, kept, kept.law, None)]


def program_key(one: Found) -> str:
    """The set-up and the threads of a finding, as a key: findings about several policies have the same program."""
    example = one.example
    return json.dumps([example.setup, example.threads] if example else [])


def _example(kept: dict[str, Any]) -> Counterexample:
    return Counterexample.decode(json.dumps(kept).encode(), "the kept verdicts")


def listed(registry: Registry, ledger: Ledger) -> Iterator[str]:
    """The table of all findings, for the page that leads to theirs."""
    rows = (
        (f"[{one.scheme.policy.name}](findings/{one.name}.md)", code(one.law), _claim(one.kept),
         prose(one.example.message if one.example else one.kept.message), one.kept.attack)
        for one in found(registry, ledger)
    )  # fmt: skip
    yield from table(("policy", "law", "claim", "what happens", "found by"), rows)


def _claim(kept: KeptVerdict) -> str:
    return code(kept.claim) if kept.claim else OWED


# -- a page ---------------------------------------------------------------------------------------------
def page(one: Found, every: Sequence[Found], shown: Shown | None, mends: Mends) -> str:
    """The page of a finding.

    Args:
        every: all findings, of which other texts with the same law are named.
        shown: its counterexample, played; None if there is none.
        mends: what may mend it.
    """
    policy = one.scheme.policy.name
    message = one.example.message if one.example else one.kept.message
    lines = [
        f"# {policy}: the law {one.law}",
        "",
        f"**What.** {prose(message)}. The law `{one.law}` says: {LAWS[one.law]}.",
        "",
        f"**Found by** the {one.kept.attack} attack of `foliolab verify {policy}`, for "
        f"{'the claim ' + code(one.kept.claim) if one.kept.claim else OWED} ({prose(one.kept.source)}). "
        f"[The policy's page](../policies/{policy}.md) has all its verdicts.",
        "",
        *_interleaving(one, shown),
        *_program(one),
        *_kernels(one, every, mends.witnesses),
        *_on_a_kernel(one),
        *_mends(one, mends),
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Shown:
    """A counterexample as it is sent: the text of a mail, and a page.

    Attributes:
        breaks: whether the law breaks in the present text, under the present engine.
    """

    mail: str
    html: str
    breaks: bool


def shown(one: Found) -> Shown | None:
    """Play a finding's counterexample, as `foliolab step --mail --html` does."""
    if one.example is None:
        return None
    timeline = Timeline(one.example, one.scheme)
    file = Path(f"{one.name}.html")
    text = mail(walks.walkthrough(timeline, file, MAIL_LINES))
    return Shown(
        text, html_page(lambda most: walks.walkthrough(timeline, file, most), walks.MOST_LINES), timeline.breaks
    )


def _interleaving(one: Found, played: Shown | None) -> Iterator[str]:
    threads = len(one.example.threads) if one.example else 0
    yield from ("## The interleaving" if threads > 1 else "## The operations", "")
    if played is None:
        yield f"The verdict was kept without its counterexample; `foliolab verify {one.scheme.name}` finds it again."
        yield ""
        return
    if not played.breaks:
        yield from ("**The law holds now**: engine or text have changed since.", "")
    yield from fenced("text", played.mail.splitlines())
    yield from fenced("{foliolab-page} " + f"{one.name}.html", [])


def _program(one: Found) -> Iterator[str]:
    yield from ("## The smallest program", "")
    if one.example is None:
        yield from ("None is kept.", "")
        return
    file = f"{one.name}.json"
    yield "The shortest counterexample that the attacks found, as a file:"
    yield ""
    yield from fenced("{foliolab-file} " + file, one.example.encoded().decode().splitlines())
    yield f"`foliolab step {file}` plays it."
    if len(one.example.threads) > 1:
        yield f"`foliolab verify POLICY --program {file}` explores every interleaving of its threads on any text."
    else:
        yield "It has one thread: no operation runs beside another one."
    yield ""


def _kernels(one: Found, every: Sequence[Found], witnesses: Witnesses) -> Iterator[str]:
    yield from ("## Which kernels have the text", "")
    if models := one.scheme.policy.models:
        yield f"The policy models {prose(models.description)}. Kernels that were held against exactly this text:"
        yield ""
        yield from (f"- {prose(sentence)}" for sentence in witnesses.sentences(one.scheme))
    else:
        yield "No released kernel was held against this text. Where it comes from:"
        yield ""
        yield from (f"- {prose(reference)}" for reference in one.scheme.policy.references)
    yield ""
    yield from _kernel_texts(one)
    others = [other for other in every if other.law == one.law and other.scheme is not one.scheme]
    if others:
        links = ", ".join(f"[{other.scheme.policy.name}]({other.name}.md)" for other in others)
        yield from (f"The same law is broken in {links}.", "")


def _kernel_texts(one: Found, stored: Path = KERNEL_TEXTS) -> Iterator[str]:
    """What the program does in the kernel's own C, translated from sources."""
    rows = [
        row
        for row in json.loads(stored.read_text("utf-8"))
        if (row["law"], row["program"]) == (one.law, program_key(one))
    ]
    if not rows:
        return
    words = {"refuted": "the law is broken, too", "held": "the law holds", "not claimed": "the text does not claim it"}
    yield "The same program in the kernel's own C (`foliolab verify tree:PATH --program FILE`):"
    yield ""
    yield from table(
        ("kernel", "options", "every interleaving", "states", "date"),
        (
            (f"Linux {row['kernel']}", code(row["options"]) if row["options"] else "–",
             words.get(row["verdict"], "not decided"), f"{row['states']:,}", row["date"])
            for row in rows
        ),
        right=3,
    )  # fmt: skip


def _on_a_kernel(one: Found, stored: Path = STRESS) -> Iterator[str]:
    yield from ("## Does a running kernel show it?", "")
    tried = [run for run in json.loads(stored.read_text("utf-8")) if _brings_about(run, one)]
    if not tried:
        yield from (_why_not(one), "")
        return
    for run in tried:
        off = sum(bool(each["changed"]) for each in run["rounds"] if each["kind"] == "at once")
        yield "**Yes.**" if off else "It did not in what was tried."
        yield (
            f"`docs/data/{run['program']}` brings the operations about at the same time, and in the control one after "
            f"the other (`{run['command']}`, Linux {run['kernel']}, {run['machine']}, {run['date']}):"
        )
        yield ""
        rows = (
            (each["kind"], f"{each['trials']:,}", f"{each['seconds']:.1f} s", f"{each['changed']:+}")
            for each in run["rounds"]
        )
        yield from table(("round", "trials", "time", "change of the count"), rows, right=1)
        same = one.scheme.policy.name in run["policies"]
        own = ", ".join(map(code, run["policies"]))
        yield "" if same else f"This kernel has the text of {own}, not this one; no kernel with this one was tried.\n"


def _brings_about(run: dict[str, Any], one: Found) -> bool:
    """Whether a program of the stress tests is about a finding: the same law, and the same operations at once."""
    threads = one.example.threads if one.example else []
    operations = sorted(text.split()[0] for thread in threads for text in thread)
    return bool(run["law"] == one.law and len(threads) > 1 and operations == sorted(run["operations"]))


def _why_not(one: Found) -> str:
    if one.scheme.policy.models is None:
        return "Not tried: no released kernel has this text, so there is none to try."
    return "Not tried: no run of a program of `tests/benchmarks/stress.py` with these operations is kept."


# -- what would mend it ---------------------------------------------------------------------------------
class Mends:
    """Texts that may mend a finding: variants of docs/data/mends.py, and shipped policies whose claim is held.

    Attributes:
        witnesses: of the shipped policies.
    """

    def __init__(self) -> None:
        self.registry = load([MENDS])
        self.ledger = Ledger.of(self.registry)
        self.witnesses = Witnesses.of(self.registry)
        self._explored: dict[tuple[bytes, str], str] = {}

    def candidates(self, one: Found) -> Iterator[tuple[Scheme, KeptVerdict]]:
        """The texts for which `verify` holds the claim, with its verdict: the variant of the same text first."""
        variant = f"{one.scheme.policy.name}{MENDED}"
        shipped = [name for name in self.registry.policies if not name.endswith(MENDED)]
        for name in (variant, *shipped):
            if name in self.registry.policies:
                scheme = self.registry.policies[name].with_parameters()
                kept = self.ledger.verdicts(scheme).get(one.kept.claim)
                if kept and kept.verdict in ("held", "partly"):
                    yield scheme, kept

    def outcome(self, one: Found, scheme: Scheme) -> str:
        """What a finding's program does in another text, in words."""
        example = one.example
        if example is None:
            return "–"
        if len(example.threads) > 1:
            program = replace(example, policy="any", schedule="", message="", digest="")
            key = program.encoded(), scheme.policy.name
            if key not in self._explored:  # pages of several policies have the same program
                self._explored[key] = _explored(program, one.kept.claim, scheme)
            return self._explored[key]
        try:
            broken = {violation.law for violation in play(example, scheme).violations}
        except FolioLabError as fault:
            return prose(f"cannot be played: {fault.what}")
        return "**the law is broken, too**" if one.law in broken else "played: the law holds"


def _explored(example: Counterexample, claim: str, scheme: Scheme) -> str:
    """Every interleaving of a program's threads in a text, as far as SECONDS allow."""
    only = program_of(example, "the same program")
    findings = Explored(program=only).run(scheme, Budget(SECONDS), lambda news: None)
    told = {finding.verdict: finding for finding in findings if finding.claim == claim}
    if "refuted" in told:
        return "**the law is broken, too**"
    if "held" in told:
        return f"every interleaving, {told['held'].states:,} states: the law holds"
    return f"not decided within {SECONDS:g} s"


def _mends(one: Found, mends: Mends) -> Iterator[str]:
    yield from ("## What would mend it", "")
    rows = []
    for scheme, kept in mends.candidates(one):
        name = scheme.policy.name
        text = code(name) if name.endswith(MENDED) else f"[{name}](../policies/{name}.md)"
        verdict = f"{kept.verdict} by {kept.attack}, {kept.date}{' (stale)' if kept.stale else ''}"
        rows.append((text, prose(scheme.policy.summary), verdict, mends.outcome(one, scheme)))
    if not rows:
        yield from ("No text that holds this claim is known here.", "")
        return
    yield f"Texts for which `foliolab verify` holds {_claim(one.kept)}, and what the same operations do in them:"
    yield ""
    yield from table(("text", "what it is", "verdict on the claim", "the same program"), rows)
    if rows[0][0] == code(f"{one.scheme.policy.name}{MENDED}"):
        yield f"`{one.scheme.policy.name}{MENDED}` is in `docs/data/mends.py`; [the findings](../findings.md) show it."
    yield ""


# -- files ----------------------------------------------------------------------------------------------
def write(folder: Path = FOLDER) -> None:
    """Write every page, and the page that holds its counterexample; remove those of findings that are gone."""
    mends = Mends()
    shipped = load()
    every = found(shipped, Ledger.of(shipped))
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for one in every:
        played = shown(one)
        if played:
            (folder / f"{one.name}.html").write_text(played.html, "utf-8")
        (folder / f"{one.name}.md").write_text(page(one, every, played, mends), "utf-8")
