"""Images and their masks from files, checked and brought to one size before anything is trained.

Everything that is wrong is collected and told at once: a missing file, one that cannot be read, a
mask of another size than its image. Each image is resized once, from the file (`fit`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.supervised.data import storage
from rl_attn.supervised.data.annotations import Annotation, MaskReader
from rl_attn.supervised.data.fit import Fit, fitted, fitted_annotation
from rl_attn.supervised.data.images import (
    ImageOptions,
    Problem,
    as_rgb,
    named,
    open_picture,
    report,
)
from rl_attn.supervised.data.marks import Marked
from rl_attn.supervised.data.storage import room

#: Pixels of a side above which images are not kept at their own size without being asked.
LARGEST = 1024


@dataclass(frozen=True)
class Picture:
    """Where one sample is: several masks are united, none means that nobody annotated it.

    A mask is a file, or what annotation files say of the image.
    """

    image: Path
    masks: tuple[Path | Marked, ...]
    label: int


class Pixels(NamedTuple):
    """What was read; see `Split` for the meaning of masks and known."""

    images: Tensor  # uint8 (N, 3, H, W)
    masks: Tensor  # uint8 (N, H, W)
    known: Tensor | None  # bool (N, H, W); None: everywhere
    notes: tuple[str, ...] = ()  # what was done to images that do not have the side asked for


def read_pictures(
    pictures: Sequence[Picture],
    size: int,
    fit: Fit = "letterbox",
    masks: MaskReader | None = None,
    images: ImageOptions | None = None,
) -> Pixels:
    """Read them all at `size` pixels a side; 0: at their own size, which must be the same for all.

    UserError names every file with something wrong, in one line.
    """
    if size < 0:
        raise UserError(f"size is {size}: it must be positive, or 0 for the images' own")
    reader, options = masks or MaskReader(), images or ImageOptions()
    problems: list[Problem] = []
    sizes: dict[tuple[int, int], Path] = {}  # and the first image of each
    pixels, marks = _arrays(len(pictures), (size, size))
    known = None
    for i, picture in enumerate(pictures):
        try:
            image, annotation = read_picture(picture, reader, options)
        except Problem as problem:
            problems.append(problem)
            continue
        sizes.setdefault(image.size, picture.image)
        if problems or (not size and _refused(sizes)):
            continue  # the rest is read to name what else is wrong
        if size:
            image, annotation = fitted(image, size, fit), fitted_annotation(annotation, size, fit)
        if image.size != marks.shape[:0:-1]:  # the first of images that keep their own size
            pixels, marks = _arrays(len(pictures), (image.height, image.width))
        pixels.numpy()[i] = np.asarray(image).transpose(2, 0, 1)
        marks.numpy()[i] = annotation.values
        if annotation.known is not None:
            if known is None:
                known = room(marks.shape, torch.bool, large(marks.shape)).fill_(True)
            known.numpy()[i] = annotation.known
    report([*sorted(problems, key=lambda problem: str(problem.path)), *reader.problems()])
    if not size and _refused(sizes):
        (least, first), (most, last) = min(sizes.items()), max(sizes.items())
        raise UserError(
            f"images are {least[0]}x{least[1]} ({named(first.name)}) to {most[0]}x{most[1]} "
            f"({named(last.name)}): choose the side to train at by --size, --data-options size=224"
        )
    return Pixels(pixels, marks, known, _notes(sizes, size, fit))


def _arrays(number: int, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Room for images and masks of one size."""
    file = large((number, *shape))
    return room((number, 3, *shape), large=file), room((number, *shape), large=file)


def large(shape: Sequence[int]) -> bool:
    """Whether images with masks (N, H, W) lie in files."""
    return 4 * math.prod(shape) > storage.LARGE


def _notes(sizes: dict[tuple[int, int], Path], size: int, fit: Fit) -> tuple[str, ...]:
    """How images came to `size`, where that changes more than their scale."""
    if not size or all(width == height for width, height in sizes):
        return ()
    done = {
        "letterbox": "whole, black beside them",
        "crop": "their middle, the rest cut off",
        "stretch": "stretched, their aspect changed",
    }[fit]
    return (f"images that are not square: {done} (fit={fit})",)


def _refused(sizes: dict[tuple[int, int], Path]) -> bool:
    """Whether images cannot stay at their own sizes."""
    return len(sizes) > 1 or max(next(iter(sizes))) > LARGEST


def read_picture(
    picture: Picture, reader: MaskReader, options: ImageOptions
) -> tuple[Image.Image, Annotation]:
    """One image, 8-bit RGB as viewers show it, and its annotation; a Problem names the file."""
    path, union = picture.image, None
    try:
        image = as_rgb(open_picture(path), options)
        for mask in picture.masks:
            path = mask if isinstance(mask, Path) else picture.image
            annotation = _annotation(mask, picture, image, reader)
            union = annotation if union is None else _united(union, annotation)
    except Problem as problem:
        raise Problem(problem.reason, path) from None
    if union is None:
        shape = (image.height, image.width)
        union = Annotation(np.zeros(shape, np.uint8), np.zeros(shape, bool))
    return image, union


def _annotation(
    mask: Path | Marked, picture: Picture, image: Image.Image, reader: MaskReader
) -> Annotation:
    if isinstance(mask, Marked):
        return mask.annotation(*image.size)
    opened = open_picture(mask)
    if opened.size != image.size:
        raise Problem(
            f"is {opened.width}x{opened.height}, its picture {picture.image.name} "
            f"{image.width}x{image.height}, as viewers show it"
        )
    return reader(opened)


def _united(a: Annotation, b: Annotation) -> Annotation:
    """What either says matters; known where one says so, or where both know."""
    values = np.maximum(a.values, b.values)
    if a.known is None and b.known is None:
        return Annotation(values)
    known = [np.ones(values.shape, bool) if m.known is None else m.known for m in (a, b)]
    return Annotation(values, (known[0] & known[1]) | (values > 127))
