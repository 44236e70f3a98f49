"""A page of pictures and tables about one network: `explain`'s, and a classifier run's."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rl_attn.reports.html import html


@dataclass(frozen=True)
class Shown:
    """A picture by its file beside the page."""

    file: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Part:
    """A headed part of the page: words, a table, pictures."""

    title: str
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pictures: Sequence[Shown] = ()


@dataclass(frozen=True)
class Page:
    """All parts under one title."""

    title: str
    lead: str
    parts: list[Part] = field(default_factory=list)


def album(page: Page) -> str:
    """As HTML; texts are escaped."""
    return html("album.html", page.title, page=page)
