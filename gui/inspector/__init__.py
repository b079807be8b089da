"""The inspector: a folio's struct pages to scale, what changed in them, and the line that did it."""
