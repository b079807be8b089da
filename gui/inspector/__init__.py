"""The inspector: a folio's struct pages to scale, what changed in them, and the line that did it."""

from foliolab.gui.inspector.inspected import Inspected, inspect_page, inspect_step
from foliolab.gui.inspector.inspector import Inspector

__all__ = ["Inspected", "Inspector", "inspect_page", "inspect_step"]
