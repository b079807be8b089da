"""The details of a policy or of a broken plugin: a text, the layout of its fields, and its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QScrollArea, QTabWidget, QTextBrowser, QWidget

from foliolab.framework.contract.policy import CLAIMS
from foliolab.framework.errors import FolioLabError
from foliolab.framework.plugins.declaration import module_of
from foliolab.framework.report.listing import parameter_text
from foliolab.gui.policies.layout_picture import LayoutPicture
from foliolab.gui.policies.listing import Entry, source_of
from foliolab.gui.policies.source_tab import SourceTab
from foliolab.gui.policies.texts import texts_of
from foliolab.gui.widgets.basics import VERDICT_SIGNS, button, set_role
from foliolab.gui.widgets.caller_box import CallerBox
from foliolab.gui.window.building import column, label, named, page, row
from foliolab.gui.window.plain import as_html

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Policy, Scheme
    from foliolab.framework.kernel.witnesses import Witnesses
    from foliolab.framework.verify.ledger import KeptVerdict
    from foliolab.gui.window.checked import Checked
    from foliolab.gui.window.library import Library
    from foliolab.gui.window.theme import Theme

TABS: Final = ("about", "layout", "source")
ABOUT, LAYOUT, SOURCE = range(len(TABS))
PADDING = 14
"""Least pixels of a button beside its text, in a narrow window."""


class Details(QWidget):
    """The details of the chosen entry.

    Signals:
        wanted: the button that was pressed: "verify", "explore", "benchmark", "edit" or "copy".
    """

    wanted = Signal(str)

    def __init__(self, theme: Theme, library: Library) -> None:
        super().__init__()
        self.entry: Entry | None = None
        self.under = label("under", "quiet")
        self.caller = named(CallerBox(library), "Caller", "Verify, explore and measure the policy under this caller")
        self.title = label(role="title", wraps=True, selectable=True)
        self.summary, self.state = (label(wraps=True, selectable=True) for _ in range(2))
        self.about = named(QTextBrowser(openLinks=False), "About the policy")
        self.picture = LayoutPicture(theme)
        self.texts = SourceTab(theme)
        self.setObjectName("policies.details")
        self.source = self.texts.view
        self.buttons = {
            "verify": button("Verify", "Attack this policy", self._pressed),
            "explore": button("Explore", "Show how this policy answers", self._pressed),
            "benchmark": button("Benchmark", "Measure this policy", self._pressed),
            "edit": button("Open in editor", "Open the file in your editor", self._pressed),
            "copy": button("Copy details", "Copy the error with its traceback", self._pressed),
        }
        self._lay_out()

    def _lay_out(self) -> None:
        self.sharing = label(wraps=True)
        scroll = named(QScrollArea(widgetResizable=True), "Layout")
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(page(self.sharing, self.picture, 1, margins=(9, 9, 9, 9)))
        for made in self.buttons.values():
            made.setMinimumWidth(made.fontMetrics().horizontalAdvance(made.text()) + PADDING)
        self.tabs = named(QTabWidget(documentMode=True), "Details")
        self.tabs.addTab(self.about, "&About")
        self.tabs.addTab(scroll, "&Layout")
        self.tabs.addTab(self.texts, "&Source")
        texts, line = (self.title, self.summary, self.state), row(*self.buttons.values(), 1)
        column(*texts, line, row(self.under, self.caller, 1), (self.tabs, 1), of=self, margins=(14, 10, 14, 10))

    # -- contents --------------------------------------------------------------------------------------
    def show_entry(self, library: Library, entry: Entry | None, checked: Checked | None, checking: bool) -> None:
        """Show a policy or a broken plugin.

        Args:
            library: the policies.
            entry: the entry; None if none is chosen.
            checked: the result of the last check.
            checking: whether the policy is being checked.
        """
        self.entry = entry
        self.tabs.setVisible(entry is not None)
        self.caller.refill()
        for made in (*self.buttons.values(), self.under, self.caller):
            made.setVisible(entry is not None)
        if entry is None:
            self.title.setText("No policy is chosen")
            self.summary.setText("Choose a policy at the left, open a file, or start a new policy.")
            self.state.hide()
            return
        self.title.setText(entry.name)
        self.summary.setText(entry.summary)
        self._say_state(entry, checked, checking)
        self.texts.show_texts(texts_of(library, entry, checked))
        file = source_of(library, entry)[0]
        for name in ("verify", "explore", "benchmark"):
            self.buttons[name].setVisible(not entry.broken)
        for made in (self.under, self.caller):
            made.setVisible(not entry.broken)
        self.buttons["copy"].setVisible(entry.broken)
        self.buttons["edit"].setEnabled(bool(file))
        self.tabs.setTabVisible(LAYOUT, not entry.broken)
        if entry.failure is not None:
            self.about.setPlainText(details_of(entry))
            self.tabs.setCurrentIndex(SOURCE if file else ABOUT)
            return
        self._policy(library, entry)

    def _say_state(self, entry: Entry, checked: Checked | None, checking: bool) -> None:
        role, text = "quiet", ""
        if entry.broken:
            role, text = "bad", "✗ broken: the plugin cannot be used"
        elif checking:
            text = "… compiling and checking"
        elif checked is not None:
            role, sign = {"checked": ("good", "✓"), "refuted": ("bad", "✗"), "failed": ("bad", "✗")}[checked.state]
            text = f"{sign} {checked.state}: {checked.message}"
        set_role(self.state, role)
        self.state.setText(text)
        self.state.setVisible(bool(text))

    def _policy(self, library: Library, entry: Entry) -> None:
        from foliolab.framework.anatomy.layout import LAYOUT_NAMES, anatomy

        try:
            scheme = library.scheme(entry.name)
            parts = anatomy(scheme)
            self.about.setHtml(_html(scheme, library.ledger().verdicts(scheme), library.witnesses(), entry))
        except FolioLabError as fault:
            self.about.setPlainText(str(fault))
            self.picture.show_anatomy(None)
            return
        per_mm = ", ".join(f"{field.name} ({field.ctype})" for field in scheme.stored("mm"))
        self.sharing.setText(
            f"A folio of 64 KiB with the struct pages of {LAYOUT_NAMES[scheme.policy.layout]}. Colour and a bar mark "
            f"the policy's fields; grey fields are the kernel's own; empty space is free."
            + (f" In each MM: {per_mm}." if per_mm else "")
        )
        self.picture.show_anatomy(parts)

    def _pressed(self) -> None:
        for name, pressed in self.buttons.items():
            if pressed is self.sender():
                self.wanted.emit(name)


def details_of(entry: Entry) -> str:
    """The full report of a broken plugin, for its author."""
    failure = entry.failure
    if failure is None:
        return ""
    lines = [f"Plugin {failure.name} ({failure.source}) failed: {failure.phase}", "", failure.message]
    if failure.offers:
        lines += ["", f"Not loaded: {', '.join(failure.offers)}"]
    return "\n".join([*lines, *(["", failure.traceback] if failure.traceback else [])])


def _html(scheme: Scheme, verdicts: dict[str, KeptVerdict], witnesses: Witnesses, entry: Entry) -> str:
    policy = scheme.policy
    parts = [f"<p>{as_html(paragraph)}</p>" for paragraph in _document(policy)]
    parts.append("<h3>Claims and verdicts</h3><table cellpadding='3' cellspacing='0'>")
    for claim in ["", *sorted(scheme.capabilities)]:
        parts.append(_claim(claim, verdicts.get(claim)))
    parts.append("</table>")
    if policy.parameters:
        rows = "".join(f"<li>{as_html(parameter_text(parameter))}</li>" for parameter in policy.parameters)
        parts.append(f"<h3>Parameters</h3><ul>{rows}</ul>")
    if policy.references:
        rows = "".join(f"<li>{as_html(reference)}</li>" for reference in policy.references)
        parts.append(f"<h3>Sources</h3><ul>{rows}</ul>")
    if policy.models is not None:
        parts.append(f"<h3>Models</h3><p>{as_html(policy.models.description)}</p>")
        parts.append(f"<h3>Witnesses</h3>{_witnesses(scheme, witnesses)}")
    parts.append(f"<h3>Origin</h3><p>{as_html(entry.source)}; folios up to order {policy.max_order}</p>")
    return "".join(parts)


def _claim(claim: str, kept: KeptVerdict | None) -> str:
    name = as_html(claim or "every policy")
    says = as_html(
        CLAIMS.get(claim, "counters agree with the page tables, every value fits its field, every operation ends")
    )
    if kept is None:
        verdict, name_shown = "not verified yet", name
    else:
        verdict = f"{VERDICT_SIGNS.get(kept.verdict, '?')} {kept.verdict} ({kept.source})"
        verdict += f": {kept.message}" if kept.message else ""
        name_shown = f"<s>{name}</s>" if kept.verdict == "refuted" else name
    return f"<tr><td><b>{name_shown}</b></td><td>{says}</td><td>{as_html(verdict)}</td></tr>"


def _witnesses(scheme: Scheme, witnesses: Witnesses) -> str:
    """The kernels that this text was held against; those of an earlier text are no longer witnesses."""
    from foliolab.framework.kernel.witnesses import NONE

    problems = "".join(f"<p>{as_html(problem)}</p>" for problem in witnesses.problems)
    found = witnesses.about(scheme)
    if not found:
        return f"{problems}<p>no witness: {as_html(NONE)}</p>"
    rows = [("kernel", "configuration", "page writes", "differences", "date"), *(
        (one.release, one.options, f"{one.writes:,}", f"{'✓' if one.agrees else '✗'} {one.differences}", one.date)
        for one in found
    )]  # fmt: skip
    cells = ("".join(f"<td>{as_html(cell)}</td>" for cell in row) for row in rows)
    return problems + f"<table cellpadding='3' cellspacing='0'>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _document(policy: Policy) -> list[str]:
    """The paragraphs of the docstring of the policy's module."""
    text = str(getattr(module_of(policy), "__doc__", "") or "")
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
