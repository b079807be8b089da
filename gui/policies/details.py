"""Everything about one policy, or about why a plugin cannot be used: as text, as a picture, and its source."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from foliolab.framework.contract.policy import CAPABILITIES
from foliolab.framework.errors import FolioLabError
from foliolab.framework.plugins.declaration import module_of
from foliolab.framework.report.listing import parameter_text
from foliolab.gui.policies.layoutpicture import LayoutPicture
from foliolab.gui.policies.listing import Entry, location_of, source_of
from foliolab.gui.widgets.source_view import Kind, SourceView

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Policy, Scheme
    from foliolab.framework.verify.ledger import KeptVerdict
    from foliolab.gui.policies.check import Checked
    from foliolab.gui.window.library import Library
    from foliolab.gui.window.theme import Theme

ABOUT, LAYOUT, SOURCE = range(3)
SIGNS = {"held": "✓", "refuted": "✗", "undecided": "?"}


class Details(QWidget):
    """The chosen policy.

    Signals:
        wanted: what a button asks for: "verify", "explore", "benchmark", "edit".
    """

    wanted = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.entry: Entry | None = None
        self.title, self.summary, self.state = QLabel(), QLabel(), QLabel()
        self.title.setProperty("role", "title")
        for label in (self.title, self.summary, self.state):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.about = QTextBrowser()
        self.about.setAccessibleName("About the policy")
        self.about.setOpenLinks(False)
        self.picture = LayoutPicture()
        self.source = SourceView(theme)
        self.path = QLabel()
        self.path.setProperty("role", "quiet")
        self.path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.buttons = {
            "verify": self._button("Verify", "Attack this policy"),
            "explore": self._button("Explore", "Watch this policy at work"),
            "benchmark": self._button("Benchmark", "Measure this policy"),
            "edit": self._button("Open in editor", "Open its file in your editor"),
            "copy": self._button("Copy details", "Copy the error with its traceback"),
        }
        self._lay_out()

    def _button(self, text: str, name: str) -> QPushButton:
        made = QPushButton(text)
        made.setAccessibleName(name)
        made.setToolTip(name)
        made.clicked.connect(self._pressed)
        return made

    def _lay_out(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setAccessibleName("Details")
        self.tabs.addTab(self.about, "&About")
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        inner = QWidget()
        box = QVBoxLayout(inner)
        self.sharing = QLabel()
        self.sharing.setWordWrap(True)
        box.addWidget(self.sharing)
        box.addWidget(self.picture)
        box.addStretch(1)
        scroll.setWidget(inner)
        scroll.setAccessibleName("Layout")
        self.tabs.addTab(scroll, "&Layout")
        page = QWidget()
        text = QVBoxLayout(page)
        text.setContentsMargins(0, 4, 0, 0)
        text.addWidget(self.path)
        text.addWidget(self.source, 1)
        self.tabs.addTab(page, "&Source")
        line = QHBoxLayout()
        for button in self.buttons.values():
            line.addWidget(button)
        line.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 10)
        for part in (self.title, self.summary, self.state):
            layout.addWidget(part)
        layout.addLayout(line)
        layout.addWidget(self.tabs, 1)

    # -- showing ---------------------------------------------------------------------------------------
    def show_entry(self, library: Library, entry: Entry | None, checked: Checked | None, checking: bool) -> None:
        """Show a policy or a failure.

        Args:
            library: what there is.
            entry: what to show; None: nothing is chosen.
            checked: what its last check said.
            checking: whether it is being checked now.
        """
        self.entry = entry
        self.tabs.setVisible(entry is not None)
        for button in self.buttons.values():
            button.setVisible(entry is not None)
        if entry is None:
            self.title.setText("No policy is chosen")
            self.summary.setText("Choose one at the left, open a file, or start a new one.")
            self.state.hide()
            return
        self.title.setText(entry.name)
        self.summary.setText(entry.summary)
        self._say_state(entry, checked, checking)
        file, line = source_of(library, entry)
        self._source(entry, file, line, checked)
        for name in ("verify", "explore", "benchmark"):
            self.buttons[name].setVisible(not entry.broken)
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
            role, text = "bad", "✗ cannot be used"
        elif checking:
            text = "… is being compiled and checked"
        elif checked is not None:
            role, sign = {"checked": ("good", "✓"), "refuted": ("bad", "✗"), "failed": ("bad", "✗")}[checked.state]
            text = f"{sign} {checked.state}: {checked.message}"
        self.state.setProperty("role", role)
        self.state.style().unpolish(self.state)
        self.state.style().polish(self.state)
        self.state.setText(text)
        self.state.setVisible(bool(text))

    def _source(self, entry: Entry, file: str, line: int, checked: Checked | None) -> None:
        try:
            text = Path(file).read_text(encoding="utf-8", errors="replace") if file else ""
        except OSError as fault:
            text = f"{file} cannot be read: {fault.strerror}"
        self.path.setText(file or "its source is not in a file of its own")
        self.source.show_source(text, path=file)
        kind: Kind = "error" if entry.broken else "step"
        if checked is not None and checked.state == "failed":
            where, number = location_of(checked.message)
            if where and Path(where) == Path(file):
                line, kind = number, "error"
        self.source.mark(line, kind)

    def _policy(self, library: Library, entry: Entry) -> None:
        from foliolab.framework.anatomy.layout import LAYOUT_NAMES, anatomy

        try:
            scheme = library.scheme(entry.name)
            parts = anatomy(scheme)
            self.about.setHtml(_html(scheme, library.ledger().verdicts(scheme), entry))
        except FolioLabError as fault:
            self.about.setPlainText(str(fault))
            self.picture.show_anatomy(None)
            return
        per_mm = ", ".join(f"{one.name} ({one.ctype})" for one in scheme.stored("mm"))
        self.sharing.setText(
            f"A folio of 64 KiB under {LAYOUT_NAMES[scheme.policy.layout]}: a bar and colour mark this policy's "
            f"fields, the others are the kernel's own, empty is free." + (f" In each MM: {per_mm}." if per_mm else "")
        )
        self.picture.show_anatomy(parts)

    def paint_in(self, theme: Theme) -> None:
        """Use a theme."""
        self.theme = self.picture.theme = theme
        self.picture.update()
        self.source.paint(theme)

    def _pressed(self) -> None:
        for name, button in self.buttons.items():
            if button is self.sender():
                if name == "copy" and self.entry is not None:
                    QGuiApplication.clipboard().setText(details_of(self.entry))
                else:
                    self.wanted.emit(name)


def details_of(entry: Entry) -> str:
    """All that is known about a failure, to send to whoever can mend it."""
    failure = entry.failure
    if failure is None:
        return ""
    lines = [f"Plugin {failure.name} ({failure.source}) failed: {failure.phase}", "", failure.message]
    if failure.offers:
        lines += ["", f"It would have offered: {', '.join(failure.offers)}"]
    return "\n".join([*lines, *(["", failure.traceback] if failure.traceback else [])])


def _html(scheme: Scheme, verdicts: dict[str, KeptVerdict], entry: Entry) -> str:
    policy = scheme.policy
    parts = [f"<p>{escape(paragraph)}</p>" for paragraph in _document(policy)]
    parts.append("<h3>Claims and verdicts</h3><table cellpadding='3' cellspacing='0'>")
    for claim in ["", *sorted(scheme.capabilities)]:
        parts.append(_claim(claim, verdicts.get(claim)))
    parts.append("</table>")
    if policy.parameters:
        rows = "".join(f"<li>{escape(parameter_text(one))}</li>" for one in policy.parameters)
        parts.append(f"<h3>Parameters</h3><ul>{rows}</ul>")
    if policy.references:
        rows = "".join(f"<li>{escape(one)}</li>" for one in policy.references)
        parts.append(f"<h3>Sources</h3><ul>{rows}</ul>")
    if policy.models is not None:
        parts.append(f"<h3>Models</h3><p>{escape(policy.models.told)}</p>")
    parts.append(f"<h3>Where it comes from</h3><p>{escape(entry.source)}; folios up to order {policy.max_order}</p>")
    return "".join(parts)


def _claim(claim: str, kept: KeptVerdict | None) -> str:
    name = escape(claim or "every policy")
    says = escape(CAPABILITIES.get(claim, "counters as by the page tables, everything fits, every operation ends"))
    if kept is None:
        verdict, name_shown = "not verified yet", name
    else:
        verdict = f"{SIGNS.get(kept.verdict, '?')} {kept.verdict} ({kept.source})"
        verdict += f": {kept.message}" if kept.message else ""
        name_shown = f"<s>{name}</s>" if kept.verdict == "refuted" else name
    return f"<tr><td><b>{name_shown}</b></td><td>{says}</td><td>{escape(verdict)}</td></tr>"


def _document(policy: Policy) -> list[str]:
    """The paragraphs of its module's documentation."""
    text = str(getattr(module_of(policy), "__doc__", "") or "")
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
