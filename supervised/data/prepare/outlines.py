"""LIDC's XML: what each reader outlined, and which outlines are of one nodule.

    LidcReadMessage/ResponseHeader/SeriesInstanceUid
    .../readingSession                       one a reader
        /unblindedReadNodule                 /noduleID, /characteristics (of 3 mm and larger), /roi
            /roi                             /imageSOP_UID, /inclusion, /edgeMap/{xCoord,yCoord}
        /nonNodule                           /imageSOP_UID, /locus/{xCoord,yCoord}

An outline is the first pixel outside of the nodule (Armato et al., Med. Phys. 38:915, 2011), so it
is no part of the mask, and where `inclusion` is FALSE, as around a cavity, it and what it surrounds
are taken out. As in pylidc (Hancock and Magnan 2016), a nodule counts if it has characteristics,
none of them zero, and a roi of a single point is a stray mark.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw
from scipy.sparse.csgraph import connected_components

from rl_attn.errors import UserError

Point = tuple[int, int]  # x, y of a pixel, from the upper left


@dataclass
class Outline:
    """One reader's nodule: in each slice, by UID, closed curves and whether they include."""

    reader: int
    curves: dict[str, list[tuple[bool, list[Point]]]] = field(default_factory=dict)

    def masks(self, shape: tuple[int, int]) -> dict[str, np.ndarray]:
        """bool (H, W) of each slice in which something is left."""
        drawn = {uid: fill(curves, shape) for uid, curves in self.curves.items()}
        return {uid: mask for uid, mask in drawn.items() if mask.any()}


@dataclass
class Reading:
    """A file: the outlined nodules, and every pixel that any reader marked as anything."""

    series: str
    outlines: list[Outline]
    marks: dict[str, list[Point]]


def read_xml(file: Path) -> Reading | None:
    """None for a file of another kind, such as those of the chest X-rays. UserError: no XML."""
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise UserError(f"{file} cannot be read as XML ({error})") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # without its namespace
    series = root.findtext("ResponseHeader/SeriesInstanceUid")
    if root.tag != "LidcReadMessage" or series is None:
        return None
    outlines, marks = [], defaultdict(list)
    for reader, session in enumerate(root.iter("readingSession")):
        for nodule in session.iter("unblindedReadNodule"):
            outline = Outline(reader)
            for roi in nodule.iter("roi"):
                uid, points = _text(roi, "imageSOP_UID", file), _points(roi, "edgeMap", file)
                marks[uid] += points
                if len(points) > 1:
                    include = _text(roi, "inclusion", file).upper() == "TRUE"
                    outline.curves.setdefault(uid, []).append((include, points))
            if outline.curves and _is_large(nodule):
                outlines.append(outline)
        for other in session.iter("nonNodule"):
            marks[_text(other, "imageSOP_UID", file)] += _points(other, "locus", file)
    return Reading(series.strip(), outlines, dict(marks))


def fill(curves: list[tuple[bool, list[Point]]], shape: tuple[int, int]) -> np.ndarray:
    """What lies inside the including curves and outside of the excluding ones: bool (H, W)."""
    mask = np.zeros(shape, bool)
    for include, points in sorted(curves, key=lambda curve: not curve[0]):
        inside = Image.new("1", shape[::-1])
        ImageDraw.Draw(inside).polygon(points, fill=1, outline=1)
        if include:
            ImageDraw.Draw(inside).line([*points, points[0]], fill=0)
            mask |= np.asarray(inside)
        else:
            mask &= ~np.asarray(inside)
    return mask


def nodules(masks: list[dict[str, np.ndarray]]) -> list[list[int]]:
    """Indices of the outlines of each nodule: those whose masks share a pixel, also by a chain."""
    touching = np.eye(len(masks), dtype=bool)
    for i, one in enumerate(masks):
        for j, other in enumerate(masks[:i]):
            touching[i, j] = any((one[uid] & other[uid]).any() for uid in one.keys() & other.keys())
    count, which = connected_components(touching, directed=False)
    return [np.flatnonzero(which == k).tolist() for k in range(count)]


def _is_large(nodule: ElementTree.Element) -> bool:
    """3 mm or more: its characteristics are given."""
    values = [(c.text or "").strip() for c in nodule.iterfind("characteristics/*")]
    return bool(values) and not any(value in ("", "0") for value in values)


def _text(element: ElementTree.Element, tag: str, file: Path) -> str:
    text = element.findtext(tag)
    if text is None:
        raise UserError(f"{file}: a {element.tag} has no {tag}")
    return text.strip()


def _points(element: ElementTree.Element, tag: str, file: Path) -> list[Point]:
    try:
        return [
            (int(_text(p, "xCoord", file)), int(_text(p, "yCoord", file)))
            for p in element.iterfind(tag)
        ]
    except ValueError as error:
        raise UserError(f"{file}: a coordinate is not a whole number ({error})") from None
