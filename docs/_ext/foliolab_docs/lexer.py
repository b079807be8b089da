"""Colours for the scenario format."""

from __future__ import annotations

from pygments.lexer import RegexLexer, words
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text

from foliolab.framework.scenario.syntax import ACTIONS, SUBJECTS


class ScenarioLexer(RegexLexer):
    """The format of docs/scenarios.md; its words are the parser's."""

    name = "FolioLab scenario"
    aliases = ("scenario",)
    filenames = ("*.scenario",)
    tokens = {  # noqa: RUF012  (a class attribute is what pygments reads)
        "root": [
            (r"#.*$", Comment),
            (r"^\|.*$", String.Doc),
            (words(("scenario", "region", "expect", "by", "room"), prefix=r"\b", suffix=r"\b"), Keyword),
            (words((*ACTIONS, *SUBJECTS), prefix=r"\b", suffix=r"\b"), Keyword.Type),
            (r"^\w+(?=:)", Name.Class),
            (r"->|:|=|,", Operator),
            (r"\b\d+[KM]?\b", Number),
            (r"[\w.-]+", Text),
            (r"\s+|.", Text),
        ]
    }
