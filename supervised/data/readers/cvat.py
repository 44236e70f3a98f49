"""CVAT's XML ("CVAT for images 1.1"): polygons, boxes, ellipses and masks; tags are labels of the
image. Polylines and points cover nothing and are left out.

docs.cvat.ai/docs/manual/advanced/xml_format. Polygons are filled as CVAT's own mask export fills
them, by pycocotools.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from rl_attn.supervised.data.images import Problem
from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import (
    Draw,
    Marks,
    Region,
    box,
    ellipse,
    polygons,
    read_files,
    turned,
)


@READERS.register("cvat")
def read(place: Path) -> Iterator[Marks]:
    return read_files("CVAT", place, ".xml", _parse)


def _parse(file: Path) -> list[Marks] | None:
    root = ElementTree.parse(file).getroot()
    if root.tag != "annotations":
        return None
    if root.find("track") is not None:
        raise Problem("holds the tracks of a video: export it as 'CVAT for images'", file)
    return [_marks(image, file) for image in root.iter("image")]


def _marks(image: ElementTree.Element, file: Path) -> Marks:
    if odd := {shape.tag for shape in image} - {*_SHAPES, *_LINES}:
        raise ValueError(f"no mask can be made of a {min(odd)}")
    regions = tuple(
        Region(shape.attrib["label"], _SHAPES[shape.tag](shape))
        for shape in image
        if shape.tag not in _LINES
    )
    tags = tuple(tag.attrib["label"] for tag in image.iter("tag"))
    size = int(image.attrib["width"]), int(image.attrib["height"])
    return Marks(image.attrib["name"], regions, tags, size, file)


def _numbers(shape: ElementTree.Element, *names: str) -> list[float]:
    return [float(shape.attrib[name]) for name in names]


def _polygon(shape: ElementTree.Element) -> Draw:
    points = shape.attrib["points"].replace(";", ",").split(",")
    return polygons([points])


def _box(shape: ElementTree.Element) -> Draw:
    left, top, right, bottom = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
    degrees = float(shape.attrib.get("rotation", 0))
    if not degrees:
        return box(left, top, right, bottom)
    middle = (left + right) / 2, (top + bottom) / 2
    return polygons([turned(left, top, right - left, bottom - top, middle, degrees)])


def _ellipse(shape: ElementTree.Element) -> Draw:
    return ellipse(*_numbers(shape, "cx", "cy", "rx", "ry"), float(shape.attrib.get("rotation", 0)))


def _mask(shape: ElementTree.Element) -> Draw:
    """Run lengths, off first, row by row of a window."""
    left, top, width, height = map(int, _numbers(shape, "left", "top", "width", "height"))
    if min(left, top) < 0:
        raise ValueError(f"a mask begins at {left}, {top}")
    runs = [int(n) for n in shape.attrib["rle"].split(",")]
    window = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)

    def draw(rows: int, columns: int) -> np.ndarray:
        on = np.zeros((rows, columns), bool)
        on[top : top + height, left : left + width] = window
        return on

    return draw


_LINES = ("polyline", "points", "skeleton", "tag")
_SHAPES = {"polygon": _polygon, "box": _box, "ellipse": _ellipse, "mask": _mask}
