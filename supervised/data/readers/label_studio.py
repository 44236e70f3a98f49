"""Label Studio's JSON export: polygons, rectangles, ellipses and brushes; choices are labels of the
image. A task that nobody has completed says nothing; what several people drew is united.

labelstud.io/guide/export; lengths are shares of 100 of the image. Polygons are filled by
pycocotools. Brushes are packed by thi.ng/rle-pack (label_studio_sdk.converter.brush).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import (
    Draw,
    Marks,
    Region,
    box,
    ellipse,
    polygons,
    read_files,
    read_json,
    stored,
    turned,
)

#: What uploading puts before a file's name.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")


@READERS.register("label-studio")
def read(place: Path) -> Iterator[Marks]:
    return read_files("Label Studio", place, ".json", _parse)


def _parse(file: Path) -> list[Marks] | None:
    tasks = read_json(file)
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and {"data", "annotations"} <= set(task) for task in tasks
    ):
        return None
    found = []
    for task in tasks:
        done = [a for a in task["annotations"] if not a.get("was_cancelled")]
        if done:
            found.append(_marks(task["data"], [r for a in done for r in a["result"]], file))
    return found


def _marks(data: dict[str, Any], results: list[dict[str, Any]], file: Path) -> Marks:
    shapes = [r for r in results if r["type"].removesuffix("labels") in _SHAPES]
    kinds = {r["type"] for r in results if r["type"].endswith("labels")}
    if odd := kinds - {r["type"] for r in shapes} - _POINTS:
        raise ValueError(f"no mask can be made of {min(odd)}")
    regions = tuple(
        Region(str(label), _SHAPES[r["type"].removesuffix("labels")](r["value"], *_size(r)))
        for r in shapes
        for label in r["value"][r["type"]]
    )
    choices = [c for r in results if r["type"] == "choices" for c in r["value"]["choices"]]
    sizes = {_size(r) for r in shapes}
    size = sizes.pop() if len(sizes) == 1 else None
    return Marks(_image(data), regions, tuple(map(str, choices)), size, file)


def _image(data: dict[str, Any]) -> str:
    """The name of the file that a task shows: of an upload, a local file, or a web address."""
    place = str(data.get("image") or next(iter(data.values())))
    name = unquote(place.partition("?d=")[2] or place.partition("?")[0])
    if "?d=" in place:
        return name
    return _UPLOADED.sub("", name.rpartition("/")[2])


def _size(result: dict[str, Any]) -> tuple[int, int]:
    return int(result["original_width"]), int(result["original_height"])


def _polygon(value: dict[str, Any], width: int, height: int) -> Draw:
    points = np.array(value["points"], float) * (width / 100, height / 100)
    return polygons([points.flatten().tolist()])


def _rectangle(value: dict[str, Any], width: int, height: int) -> Draw:
    x, y, across, down = (float(value[name]) / 100 for name in ("x", "y", "width", "height"))
    x, y, across, down = x * width, y * height, across * width, down * height
    degrees = value.get("rotation") or 0
    if not degrees:
        return box(x, y, x + across, y + down)
    return polygons([turned(x, y, across, down, (x, y), degrees)])


def _ellipse(value: dict[str, Any], width: int, height: int) -> Draw:
    x, across = value["x"] * width / 100, value["radiusX"] * width / 100
    y, down = value["y"] * height / 100, value["radiusY"] * height / 100
    return ellipse(x, y, across, down, value.get("rotation") or 0)


def _brush(value: dict[str, Any], width: int, height: int) -> Draw:
    levels = unpacked(value["rle"]).reshape(height, width, 4)
    return stored(levels[..., 3] > 0)


def unpacked(packed: list[int]) -> np.ndarray:
    """uint8 levels of what thi.ng/rle-pack has packed into bytes.

    A head of 32 bits with the number of words, 5 with a word's bits, 4 with each of four widths;
    then runs: repeated or not, which width, a length in it, and one word or as many.
    """
    bits = "".join(f"{byte:08b}" for byte in packed)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    number, word = take(32), take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    levels = np.zeros(number, np.uint8)
    done = 0
    while done < number:
        repeated = take(1)
        end = done + 1 + take(widths[take(2)])
        levels[done:end] = take(word) if repeated else [take(word) for _ in range(done, end)]
        done = end
    return levels


_POINTS = {"keypointlabels", "vectorlabels", "labels"}  # cover nothing
_SHAPES = {"polygon": _polygon, "rectangle": _rectangle, "ellipse": _ellipse, "brush": _brush}
