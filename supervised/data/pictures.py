"""Pictures and masks from files, checked before anything is trained.

Everything that is wrong is collected and told at once: a missing file, one that cannot be read, a
mask of another size than its picture. Pictures are stretched to one square size, as CAMAL's
pipeline does, by Pillow's antialiased bilinear filter; masks go through the same filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageChops, UnidentifiedImageError
from torch import Tensor

from rl_attn.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_SHOWN = 20  # files that one message names


@dataclass(frozen=True)
class Picture:
    """Where one sample is: several masks are united, none means an empty mask."""

    image: Path
    masks: tuple[Path, ...]
    label: int


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def white(mask: Image.Image) -> Image.Image:
    """A mask as 8-bit grey; one that holds 0 and 1 only is spread to 0 and 255."""
    grey = mask.convert("L")
    return grey.point(lambda v: 255 * v) if grey.getextrema()[1] == 1 else grey


def read_pictures(
    pictures: Sequence[Picture], size: int, decode: Callable[[Image.Image], Image.Image] = white
) -> tuple[Tensor, Tensor]:
    """uint8 images (N, 3, size, size) and masks (N, size, size).

    `decode` turns a mask file into grey levels, 255 where attention belongs. UserError names
    every file with something wrong.
    """
    images = np.empty((len(pictures), size, size, 3), np.uint8)
    masks = np.zeros((len(pictures), size, size), np.uint8)
    problems = []
    for i, picture in enumerate(pictures):
        try:
            image, mask = _read(picture, decode)
        except Problem as problem:
            problems.append(str(problem))
            continue
        images[i] = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        if mask is not None:
            masks[i] = mask.resize((size, size), Image.Resampling.BILINEAR)
    report(problems)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(masks)


def report(problems: Sequence[str]) -> None:
    """Raise one UserError for all of them; nothing if there are none."""
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UserError(f"{count} with pictures: {'; '.join(problems[:_SHOWN])}{more}")


class Problem(Exception):
    """What is wrong with one file; collected, see `report`."""


def open_picture(path: Path) -> Image.Image:
    """The decoded file, or a Problem."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise Problem(f"{path} is missing") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Problem(f"{path} cannot be read ({' '.join(str(error).split())})") from None


def _read(
    picture: Picture, decode: Callable[[Image.Image], Image.Image]
) -> tuple[Image.Image, Image.Image | None]:
    image, union = open_picture(picture.image), None
    for path in picture.masks:
        mask = decode(open_picture(path))
        if mask.size != image.size:
            raise Problem(
                f"{path} is {mask.width}x{mask.height}, its picture {picture.image.name} "
                f"{image.width}x{image.height}"
            )
        union = mask if union is None else ImageChops.lighter(union, mask)
    return image, union
