"""What a report is made of, before it is written anywhere."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from rl_attn.reports.style import Picture
from rl_attn.reports.tables import Table


@dataclass(frozen=True)
class Plate:
    """A figure with what is said under it, and the numbers that it draws."""

    name: str
    title: str
    caption: str
    alt: str  # what a reader who does not see it should know
    draw: Callable[[], Picture]  # takes a while, so not before it is needed
    data: pd.DataFrame | None = None  # None: the numbers stand in a table

    @cached_property
    def picture(self) -> Picture:
        return self.draw()


@dataclass(frozen=True)
class Section:
    """A headed part of the page."""

    title: str
    parts: list[Plate | Table]
    text: str = ""

    @property
    def anchor(self) -> str:
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


@dataclass(frozen=True)
class Report:
    """All parts, and what must be said above them."""

    sections: list[Section]
    verdicts: list[dict[str, str]]
    notes: list[str] = field(default_factory=list)  # what is missing, broken or left out

    def tables(self) -> list[Table]:
        return [part for s in self.sections for part in s.parts if isinstance(part, Table)]

    def plates(self) -> list[Plate]:
        return [part for s in self.sections for part in s.parts if isinstance(part, Plate)]

    def without_plates(self) -> "Report":
        """The tables alone."""
        sections = [
            replace(section, parts=[part for part in section.parts if isinstance(part, Table)])
            for section in self.sections
        ]
        return replace(self, sections=[section for section in sections if section.parts])
