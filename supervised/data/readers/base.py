"""What annotation files say of images, and how their shapes become masks.

A reader yields `Marks`, one for each image that a file names. It does not look at the images:
`marks` matches them by file name. Its shapes are drawn when the image's size is known, and each
format fills polygons as its own tools do:

    COCO, CVAT, Label Studio     pycocotools: corners of pixels are integers
    YOLO                         OpenCV: centres of pixels are integers, the outline is inside
    LabelMe                      Pillow, the same; as labelme's own export does
    NIfTI, DICOM SEG             nothing to fill: they hold pixels
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_attn.errors import UserError, one_line
from rl_attn.supervised.data.images import Problem

#: (height, width) -> bool (H, W).
Draw = Callable[[int, int], np.ndarray]
#: Pixels from an image's corner beyond which a number is a mistake and no coordinate.
_FARTHEST = 1e6


@dataclass(frozen=True)
class Region:
    """A part of an image, and what it shows."""

    label: str
    draw: Draw


@dataclass(frozen=True)
class Marks:
    """What a file says of one image. No region: nothing in it matters."""

    image: str  # its file's name, with or without folders before it and an ending after it
    regions: tuple[Region, ...] = ()
    labels: tuple[str, ...] = ()  # of the image as a whole
    size: tuple[int, int] | None = None  # (width, height) of what was annotated
    file: Path = Path()  # that says it


def read_files(
    kind: str, place: Path, ending: str, parse: Callable[[Path], list[Marks] | None]
) -> Iterator[Marks]:
    """The marks of a file, or of all files with an ending below a folder.

    parse: None for a file of something else, which is skipped where it was not named.
    Problem: a file that is none, or damaged.
    """
    files = [place] if place.is_file() else sorted(place.rglob(f"*{ending}"))
    for file in files:
        if file != place and any(p.startswith(".") for p in file.relative_to(place).parts):
            continue
        try:
            found = parse(file)
        except (Problem, UserError):
            raise
        except Exception as error:  # of whatever a damaged file leads to
            reason = one_line(error, named=True)
            raise Problem(f"cannot be read as {kind} ({reason})", file) from None
        if found is None and file == place:
            raise Problem(f"is no {kind} file", file)
        yield from found or ()


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8-sig"))


def numbers(values: Iterable[Any]) -> list[float]:
    """Coordinates as floats. ValueError: one that is not finite, or far from any image, for which
    pycocotools would take all memory."""
    found = [float(value) for value in values]
    if odd := [value for value in found if not abs(value) <= _FARTHEST]:
        raise ValueError(f"{odd[0]:g} is no coordinate")
    return found


def polygons(rings: Iterable[Sequence[float]]) -> Draw:
    """The union of polygons x, y, x, y, ... as COCO has them."""
    coco, rings = mask_tools(), [numbers(ring) for ring in rings]
    if any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        raise ValueError("a polygon needs three points or more")

    def draw(height: int, width: int) -> np.ndarray:
        return coco.decode(coco.merge(coco.frPyObjects(rings, height, width))).astype(bool)

    return draw


def box(left: float, top: float, right: float, bottom: float) -> Draw:
    """The pixels whose centres are in a rectangle; corners of pixels are integers."""
    if right < left or bottom < top:
        raise ValueError(f"a box is {right - left:g} wide and {bottom - top:g} high")
    x0, y0, x1, y1 = (int(np.floor(v + 0.5)) for v in numbers((left, top, right, bottom)))

    def draw(height: int, width: int) -> np.ndarray:
        on = np.zeros((height, width), bool)
        on[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
        return on

    return draw


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0.0) -> Draw:
    """The pixels whose centres are in an ellipse with these radii, turned clockwise."""
    x, y, across, down, degrees = numbers((x, y, across, down, degrees))
    if min(across, down) <= 0:
        raise ValueError(f"an ellipse has radii of {across:g} and {down:g}")

    def draw(height: int, width: int) -> np.ndarray:
        rows, columns = np.mgrid[:height, :width] + 0.5
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        along = (columns - x) * cos + (rows - y) * sin
        beside = (rows - y) * cos - (columns - x) * sin
        return (along / across) ** 2 + (beside / down) ** 2 <= 1

    return draw


def turned(
    left: float, top: float, width: float, height: float, about: tuple[float, float], degrees: float
) -> list[float]:
    """The corners x, y, x, y, ... of a rectangle turned clockwise about a point."""
    (x, y), cos, sin = about, np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    corners = ((left, top), (left + width, top), (left + width, top + height), (left, top + height))
    return [
        value
        for a, b in corners
        for value in (x + (a - x) * cos - (b - y) * sin, y + (a - x) * sin + (b - y) * cos)
    ]


def stored(mask: np.ndarray) -> Draw:
    """A mask (H, W) as the file has it."""
    return lambda height, width: mask


def mask_tools():
    """pycocotools.mask. UserError: it is not installed."""
    try:
        from pycocotools import mask
    except ImportError:
        raise UserError(
            "polygons of annotations need pycocotools: pip install 'rl-attn[annotations]'"
        ) from None
    return mask
