"""Asks for a kernel tree, its revision, its configuration, and a patch of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QRadioButton,
    QWidget,
)

from foliolab.framework.csource import choices
from foliolab.framework.csource.choices import CONFIGURATIONS, Options
from foliolab.framework.csource.tree import Tree
from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.gui.window.building import FLUSH, column, label, named, row, tool_button

AS_THEY_ARE: Final = "the files as they are"
WIDTH: Final = 620
PATCHES: Final = "Patches (*.patch *.diff);;All files (*)"


class TreeDialog(QDialog):
    """The choices about a kernel tree. It stays open until they name a tree that can be read.

    Args:
        parent: the window.
        recent: folders of trees that were opened before, the newest first.
        folder: of the tree; empty for the newest of `recent`.
        patch: a diff to apply; empty for none.

    Signals:
        chosen: (folder, the tree as `tree:PATH…`).
    """

    chosen = Signal(str, str)

    def __init__(self, parent: QWidget, recent: Sequence[str], folder: str = "", patch: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle("Open a kernel tree")
        self.folder = named(QComboBox(editable=True), "Folder of the kernel tree")
        self.folder.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.folder.addItems(list(dict.fromkeys([*([folder] if folder else []), *recent])))
        self.revision = named(QComboBox(editable=True), "Revision", "A branch, a tag or a commit of the git repository")
        self.revision.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.configurations = QButtonGroup(self)
        texts = ["as the tree itself says (.config, or Linux before 6.15)"]
        for number, text in enumerate([*texts, *(f"{text}: {_written(options)}" for text, options in CONFIGURATIONS)]):
            self.configurations.addButton(QRadioButton(text), number)
        self.patch = named(QLineEdit(patch, placeholderText="none"), "Patch", "A diff that is applied to a copy")
        self.written = named(label(role="quiet", wraps=True, selectable=True), "The tree as it is written in a command")
        self.problem = named(label(role="bad", wraps=True), "What is wrong")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self._lay_out()
        self.folder.currentTextChanged.connect(self._another_folder)
        self.revision.currentTextChanged.connect(self._say)
        self.revision.activated.connect(self._propose)
        self.configurations.idClicked.connect(self._say)
        self.patch.textChanged.connect(self._say)
        self.buttons.accepted.connect(self._open)
        self.buttons.rejected.connect(self.reject)
        self._another_folder()

    def _lay_out(self) -> None:
        find, find_patch = tool_button("…", "Choose a folder"), tool_button("…", "Choose a patch")
        find.clicked.connect(self._find)
        find_patch.clicked.connect(self._find_patch)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("&Tree", _with_button(self.folder, find))
        form.addRow("&Revision", self.revision)
        form.addRow("Configuration", column(*self.configurations.buttons()))
        form.addRow("&Patch", _with_button(self.patch, find_patch))
        column(form, self.written, self.problem, 1, self.buttons, of=self)
        self.problem.hide()
        self.resize(WIDTH, self.sizeHint().height())

    # -- choices ---------------------------------------------------------------------------------------
    def tree(self) -> Tree:
        """The tree that is chosen now; it need not exist."""
        options = () if self.configurations.checkedId() < 1 else CONFIGURATIONS[self.configurations.checkedId() - 1][1]
        return self._tree(options)

    def _tree(self, options: Options) -> Tree:
        patch = self.patch.text().strip()
        if patch:
            options = (*options, ("patch", str(Path(patch).expanduser().absolute())))
        revision = self.revision.currentText().strip()
        folder = str(Path(self.folder.currentText().strip()).expanduser().absolute())
        return Tree(folder, "" if revision == AS_THEY_ARE else revision, options)

    def _another_folder(self) -> None:
        """Offer the revisions of the folder, and choose the configuration that it says itself, if it does."""
        found = choices.revisions(Path(self.tree().path))
        with QSignalBlocker(self.revision):
            self.revision.clear()
            self.revision.addItems([AS_THEY_ARE, *found])
        self.revision.setEnabled(bool(found))
        self._propose()

    def _propose(self) -> None:
        says = choices.is_configured(self._tree(()))
        self.configurations.button(0).setEnabled(says)
        if says or self.configurations.checkedId() < 1:
            self.configurations.button(0 if says else 1).setChecked(True)
        self._say()

    def _say(self) -> None:
        self.problem.hide()
        self.written.setText(str(self.tree()))

    def _find(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "The folder of the kernel tree", self.folder.currentText())
        if found:
            self.folder.setCurrentText(found)

    def _find_patch(self) -> None:
        found, _ = QFileDialog.getOpenFileName(self, "A patch of the tree", self.patch.text(), PATCHES)
        if found:
            self.patch.setText(found)

    # -- the end ---------------------------------------------------------------------------------------
    def _open(self) -> None:
        tree = self.tree()
        try:
            if Tree.parse(str(tree)) != tree:
                raise UsageError("a path has a comma or a colon", "rename it: these divide the name of a tree")
            tree.configuration(tree.files())
        except FolioLabError as fault:
            self.problem.setText(f"{fault.what}: {fault.hint}" if fault.hint else fault.what)
            self.problem.show()
            return
        self.chosen.emit(tree.path, str(tree))
        self.accept()


def _with_button(field: QWidget, button: QWidget) -> QWidget:
    made = QWidget()
    row((field, 1), button, of=made, margins=FLUSH)
    made.setFocusProxy(field)
    return made


def _written(options: Options) -> str:
    return ",".join(f"{name}={value}" for name, value in options)
