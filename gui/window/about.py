"""The About box."""

from __future__ import annotations

from importlib import metadata

from PySide6.QtWidgets import QMessageBox, QWidget

from foliolab.framework.results.provenance import versions

TEXT = """<h3>FolioLab {version}</h3>
<p>A workbench for schemes that track who owns a large folio.</p>
<p>Can the kernel know, without per-page mapcounts, whether a folio is mapped exclusively? How precise is the answer,
and what does it cost?</p>
<p>{versions}</p>
<p>Without a window: <code>foliolab --help</code></p>"""


def about(parent: QWidget) -> None:
    """Show the About box."""
    listed = ", ".join(f"{name} {number}" for name, number in versions().items())
    QMessageBox.about(parent, "About FolioLab", TEXT.format(version=metadata.version("foliolab"), versions=listed))
