"""COCO's JSON: polygons, run lengths (compressed or not), and boxes where there is neither.

cocodataset.org/#format-data; run lengths are decoded, and polygons filled, by pycocotools.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import (
    Draw,
    Marks,
    Region,
    box,
    mask_tools,
    numbers,
    polygons,
    read_files,
    read_json,
)


@READERS.register("coco")
def read(place: Path) -> Iterator[Marks]:
    return read_files("COCO", place, ".json", _parse)


def _parse(file: Path) -> list[Marks] | None:
    data = read_json(file)
    if not isinstance(data, dict) or not {"images", "annotations", "categories"} <= set(data):
        return None
    for kind in ("images", "annotations", "categories"):
        if not isinstance(data[kind], list):
            raise ValueError(f"its {kind} are no list [...]")
    images, categories = _by_id(data, "images"), _by_id(data, "categories")
    of: dict[Any, list[Region]] = {number: [] for number in images}
    for entry in data["annotations"]:
        image, category = entry["image_id"], entry["category_id"]
        if image not in images or category not in categories:
            raise ValueError(f"no image {image!r}, or no category {category!r}, of an annotation")
        of[image].append(Region(str(categories[category]["name"]), _draw(entry)))
    return [
        Marks(str(i["file_name"]), tuple(of[n]), (), (int(i["width"]), int(i["height"])), file)
        for n, i in images.items()
    ]


def _by_id(data: dict[str, Any], kind: str) -> dict[Any, dict[str, Any]]:
    found = {entry["id"]: entry for entry in data[kind]}
    if len(found) < len(data[kind]):
        raise ValueError(f"two of the {kind} have the same id")
    return found


def _draw(entry: dict[str, Any]) -> Draw:
    shape = entry.get("segmentation")
    if not shape:
        x, y, width, height = numbers(entry["bbox"])
        return box(x, y, x + width, y + height)
    if isinstance(shape, list):
        return polygons(shape)
    coco = mask_tools()
    if isinstance(shape["counts"], list):
        height, width = shape["size"]
        if min(shape["counts"], default=0) < 0 or sum(shape["counts"]) != height * width:
            raise ValueError(f"run lengths of {sum(shape['counts'])} pixels, not {width}x{height}")
        shape = coco.frPyObjects(shape, height, width)
    return lambda height, width: coco.decode(shape).astype(bool)
