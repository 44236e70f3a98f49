"""A contact sheet: what a data set looks like, and where its masks are, at one glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

DIMMED = 0.2  # what is left of a picture outside of its mask
UNKNOWN = (90, 90, 200)  # colour laid over what nobody annotated
_GAP, _LINE, _TEXT = 4, 14, 10  # pixels between cells, of a line of text, of its letters


class Cell(NamedTuple):
    """A picture and its annotation, at the side that the sheet shows."""

    name: str
    picture: np.ndarray  # uint8 (H, W, 3)
    mask: np.ndarray  # uint8 (H, W)
    known: np.ndarray | None = None  # bool (H, W); None: everywhere

    def dimmed(self) -> np.ndarray:
        """The picture with all but the mask darkened, and blue where nothing is known."""
        level = DIMMED + (1 - DIMMED) * self.mask[..., None].astype(np.float32) / 255
        shown = self.picture * level
        if self.known is not None:
            shown[~self.known] = 0.5 * self.picture[~self.known] + 0.5 * np.array(UNKNOWN)
        return shown.astype(np.uint8)


def contact_sheet(rows: Mapping[str, Sequence[Cell]]) -> np.ndarray:
    """Rows of cells of one size, a row a class under its name: pictures with their files' names
    left, and right the same with all but the mask dimmed. RGB uint8 (H, W, 3)."""
    cells = [cell for row in rows.values() for cell in row]
    height, width = cells[0].picture.shape[:2]
    columns = max(map(len, rows.values()))
    block = columns * (width + _GAP)
    across, down = 2 * block + 2 * _GAP, height + 2 * _LINE + _GAP
    sheet = Image.new("RGB", (across, len(rows) * down), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=_TEXT)
    for number, (title, row) in enumerate(rows.items()):
        top = number * down
        pen.text((_GAP, top), title, "black", font)
        for column, cell in enumerate(row):
            left = _GAP + column * (width + _GAP)
            sheet.paste(Image.fromarray(cell.picture), (left, top + _LINE))
            right = left + block + _GAP
            sheet.paste(Image.fromarray(cell.dimmed()), (right, top + _LINE))
            text = _shortened(cell.name, width, font)
            pen.text((left, top + _LINE + height), text, (90, 90, 90), font)
    return np.asarray(sheet)


def _shortened(name: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """The end of a name, as much of it as fits."""
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(f"…{name}") > width:
        name = name[1:]
    return f"…{name}"
