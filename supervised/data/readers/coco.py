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
    names = {category["id"]: str(category["name"]) for category in data["categories"]}
    of: dict[Any, list[Region]] = {image["id"]: [] for image in data["images"]}
    for entry in data["annotations"]:
        of[entry["image_id"]].append(Region(names[entry["category_id"]], _draw(entry)))
    return [
        Marks(str(i["file_name"]), tuple(of[i["id"]]), (), (i["width"], i["height"]), file)
        for i in data["images"]
    ]


def _draw(entry: dict[str, Any]) -> Draw:
    shape = entry.get("segmentation")
    if not shape:
        x, y, width, height = entry["bbox"]
        return box(x, y, x + width, y + height)
    if isinstance(shape, list):
        return polygons(shape)
    coco = mask_tools()
    if isinstance(shape["counts"], list):
        shape = coco.frPyObjects(shape, *shape["size"])
    return lambda height, width: coco.decode(shape).astype(bool)
