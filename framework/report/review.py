"""`foliolab review`: five short paragraphs about a policy, each with the command that shows more."""

from __future__ import annotations

from typing import Final

from foliolab.framework.report.pages.page import Page, Style
from foliolab.framework.review.review import Paragraph, Review, Tone

SIGNS: Final[dict[Tone, tuple[str, Style]]] = {
    "good": ("✓", "strong good"),
    "bad": ("✗", "strong bad"),
    "doubtful": ("◐", "strong doubtful"),
    "unknown": ("?", "strong"),
}
"""For each tone of an answer its sign and its style."""
LEGEND: Final = "✓ good, ◐ imprecise, undecided or dearer, ✗ wrong, ? unknown"


def render(review: Review, page: Page) -> None:
    """Write a review on a page."""
    page.line(f"{review.policy}: {review.summary}", "strong")
    beside = f"; beside {review.baseline}" if review.baseline else ""
    page.line(f"  text {review.digest}{beside}", "quiet")
    for paragraph in review.paragraphs:
        page.line()
        _paragraph(paragraph, page)
    page.line()


def _paragraph(paragraph: Paragraph, page: Page) -> None:
    sign, style = SIGNS[paragraph.tone]
    page.line(f"{sign} {paragraph.question}: {paragraph.answer}", style)
    for sentence in paragraph.sentences:
        page.line(f"  {sentence}", "bad" if sentence.startswith("✗") else "")
    if paragraph.unknown:
        page.line(f"  {paragraph.unknown}", "doubtful" if paragraph.tone != "unknown" else "")
    page.line(f"  more: {paragraph.command}", "quiet")
