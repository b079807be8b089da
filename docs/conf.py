"""Sphinx: `sphinx-build -W -b html docs OUT`, with what the extra `docs` installs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from foliolab.framework.results import comparison

project = "FolioLab"
author = "FolioLab contributors"
copyright = f"{datetime.now(UTC).year}, {author}"
try:
    version = release = metadata.version("foliolab")
except metadata.PackageNotFoundError:
    version = release = ""

extensions = ["foliolab_docs", "myst_parser", "sphinx.ext.doctest"]
exclude_patterns = ["_ext", "_build", "data", "Thumbs.db"]
source_suffix = {".md": "markdown"}
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 4
# Figures in sentences come from the code.
myst_substitutions = {
    "rounds_least": comparison.MIN_ROUNDS,
    "alpha": f"{comparison.ALPHA:.0%}".replace("%", " %"),
    "equivalent": f"{comparison.EQUIVALENT:.0%}".replace("%", " %"),
    "floor": f"{comparison.FLOOR:.0%}".replace("%", " %"),
}
suppress_warnings: list[str] = []

html_theme = "furo"
html_title = "FolioLab"
html_static_path = ["_static"]
html_css_files = ["foliolab.css"]
html_theme_options = {
    "light_css_variables": {
        "foliolab-exclusive": "#1f7a38",
        "foliolab-shared": "#1c65b5",
        "foliolab-false": "#a65f00",
        "foliolab-unsafe": "#c21a24",
    },
    "dark_css_variables": {
        "foliolab-exclusive": "#5fc77d",
        "foliolab-shared": "#74b3f2",
        "foliolab-false": "#f0a640",
        "foliolab-unsafe": "#ff7b80",
    },
}
pygments_style = "friendly"
pygments_dark_style = "native"

doctest_global_setup = "import os; os.environ['FOLIOLAB_PLUGINS'] = 'off'"
