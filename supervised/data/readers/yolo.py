"""YOLO's text files, one an image: `class x y x y ...` is a polygon, `class x y width height` a
box, in shares of the image. Classes have the names of data.yaml (or classes.txt) in a folder above.

docs.ultralytics.com/datasets/segment. Corners are rounded to pixels and polygons filled by OpenCV,
as supervision does it, which brings its own exports back to the bit. An empty file says that
nothing matters; an image without a file is not annotated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
import yaml

from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import Draw, Marks, Region, box, numbers, read_files

_NAMES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt")
#: Of an image, that rounding may put a corner outside of it.
_BEYOND = 0.01


@READERS.register("yolo")
def read(place: Path) -> Iterator[Marks]:
    return read_files("YOLO", place, ".txt", partial(_parse, place))


def _parse(place: Path, file: Path) -> list[Marks] | None:
    text = file.read_text(encoding="utf-8-sig")
    sure = file == place or "labels" in file.parts  # else it may be any text
    if file.name in _NAMES or not (sure or re.fullmatch(r"[\d\s.eE+-]*", text)):
        return None
    regions = []
    for line in text.splitlines():
        if words := line.split():
            regions.append(Region(_name(file, int(words[0])), _draw(numbers(words[1:]))))
    parts = file.with_suffix("").parts
    below = parts[len(parts) - parts[::-1].index("labels") :] if "labels" in parts else parts[-1:]
    return [Marks("/".join(below), tuple(regions), file=file)]


def _draw(shares: list[float]) -> Draw:
    if odd := [share for share in shares if not -_BEYOND <= share <= 1 + _BEYOND]:
        raise ValueError(f"{odd[0]:g} is no share of an image, from 0 to 1")
    if len(shares) == 4:
        x, y, width, height = shares

        def draw(rows: int, columns: int) -> np.ndarray:
            across, down = (x - width / 2, x + width / 2), (y - height / 2, y + height / 2)
            sides = (across[0] * columns, down[0] * rows, across[1] * columns, down[1] * rows)
            return box(*sides)(rows, columns)

        return draw
    if len(shares) < 6 or len(shares) % 2:
        raise ValueError(f"{len(shares)} numbers after a class are neither a box nor a polygon")
    points = np.array(shares).reshape(-1, 2)

    def fill(rows: int, columns: int) -> np.ndarray:
        corners = np.round(points * (columns, rows)).astype(np.int32)
        return cv2.fillPoly(np.zeros((rows, columns), np.uint8), [corners], [1]).astype(bool)

    return fill


def _name(file: Path, index: int) -> str:
    """The class of a number, by the nearest file of names above; the number without one."""
    for folder in file.parents[:4]:
        for name in _NAMES:
            if (folder / name).is_file():
                names = _names(folder / name, (folder / name).stat().st_mtime_ns)
                if index not in names:
                    raise ValueError(f"class {index} has no name in {name}, which has {len(names)}")
                return str(names[index])
    return str(index)


@lru_cache
def _names(file: Path, _changed: int) -> dict[int, str]:
    text = file.read_text(encoding="utf-8-sig")
    names = text.splitlines() if file.suffix == ".txt" else yaml.safe_load(text)["names"]
    return names if isinstance(names, dict) else dict(enumerate(names))
