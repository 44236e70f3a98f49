"""LabelMe's JSON, a file an image: polygons, rectangles, circles and masks, filled as its own
export does (labelme.utils.shapes_to_label). Its flags are labels of the image; lines and points
cover nothing and are left out.

github.com/wkentaro/labelme
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import Draw, Marks, Region, numbers, read_files, read_json

_AREAS = ("polygon", "rectangle", "circle", "mask")
_LINES = ("line", "linestrip", "point", "points")


@READERS.register("labelme")
def read(place: Path) -> Iterator[Marks]:
    return read_files("LabelMe", place, ".json", _parse)


def _parse(file: Path) -> list[Marks] | None:
    data = read_json(file)
    if not isinstance(data, dict) or not {"shapes", "imagePath"} <= set(data):
        return None
    shapes = [s for s in data["shapes"] if s.get("shape_type") not in _LINES]
    regions = tuple(Region(str(shape["label"]), _draw(shape)) for shape in shapes)
    flags = tuple(name for name, on in (data.get("flags") or {}).items() if on)
    size = int(data.get("imageWidth") or 0), int(data.get("imageHeight") or 0)
    image = str(data["imagePath"]).replace("\\", "/")
    return [Marks(image, regions, flags, size if all(size) else None, file)]


def _draw(shape: dict[str, Any]) -> Draw:
    kind = shape.get("shape_type") or "polygon"
    if kind not in _AREAS:
        raise ValueError(f"shape_type {kind!r} is none of {', '.join((*_AREAS, *_LINES))}")
    points = [(x, y) for x, y in map(numbers, shape["points"])]
    fewest = 3 if kind == "polygon" else 2
    if len(points) < fewest or (kind == "circle" and len(points) > 2):
        raise ValueError(f"a {kind} has {len(points)} points")
    bitmap = _bitmap(shape["mask"]) if kind == "mask" else None

    def draw(height: int, width: int) -> np.ndarray:
        picture = Image.new("L", (width, height))
        pen = ImageDraw.Draw(picture)
        if kind == "polygon":
            pen.polygon(points, fill=1, outline=1)
        elif kind == "rectangle":
            across, down = zip(*points, strict=True)
            pen.rectangle((min(across), min(down), max(across), max(down)), 1, 1)
        elif kind == "circle":
            (x, y), edge = points
            radius = math.dist((x, y), edge)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), 1, 1)
        else:
            picture.paste(1, tuple(map(round, points[0])), bitmap)
        return np.array(picture, bool)

    return draw


def _bitmap(text: str) -> Image.Image:
    """The PNG in a mask's text, black and white."""
    levels = np.array(Image.open(io.BytesIO(base64.b64decode(text))))
    return Image.fromarray((levels > 0).astype(np.uint8) * 255)
