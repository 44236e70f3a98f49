"""From an image of any size to the side that is trained on, in one resize.

letterbox   the whole image, its aspect kept, black beside it (the default)
crop        its middle square
stretch     the whole image, its aspect changed, as many papers' pipelines do

By Pillow's antialiased bilinear filter. An annotation goes through the same: a pixel is known where
at least half of what it is made of is known, and its value is that of the known part. What lies
beside a letterboxed image does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

    from rl_attn.supervised.data.annotations import Annotation

Fit = Literal["letterbox", "crop", "stretch"]
#: What is cut out of images 8/7 as large: nothing, their centre, or at random in training.
Crop = Literal["none", "center", "random"]


def fitted(
    image: Image.Image, side: int | tuple[int, int], fit: Fit, beside: int = 0
) -> Image.Image:
    """8-bit, (side, side); `beside` is the level of what is not part of the image. A side (H, W),
    of sets whose images all have that size, stretches whatever else is shown."""
    from PIL import Image

    if not isinstance(side, int):
        return image.resize(side[::-1], Image.Resampling.BILINEAR)
    width, height = image.size
    box, size = None, (side, side)
    if fit == "crop":
        least = min(width, height)
        left, top = (width - least) / 2, (height - least) / 2
        box = (left, top, left + least, top + least)
    if fit == "letterbox" and width != height:
        scale = side / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
    small = image.resize(size, Image.Resampling.BILINEAR, box)
    if size == (side, side):
        return small
    whole = Image.new(image.mode, (side, side), beside if image.mode == "L" else (beside,) * 3)
    whole.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return whole


def fitted_annotation(annotation: Annotation, side: int | tuple[int, int], fit: Fit) -> Annotation:
    """Values and known alike, as `fitted` has it."""
    import numpy as np
    from PIL import Image

    from rl_attn.supervised.data.annotations import Annotation

    values = np.array(fitted(Image.fromarray(annotation.values), side, fit))
    if annotation.known is None:
        return Annotation(values)
    beside = 255 if annotation.known.any() else 0
    share = Image.fromarray(annotation.known.astype(np.uint8) * 255)
    weight = np.array(fitted(share, side, fit, beside)).astype(np.float32)
    known = weight > 127
    mean = np.minimum(values.astype(np.float32) * 255 / np.maximum(weight, 1), 255)
    return Annotation(np.where(known, np.rint(mean), 0).astype(np.uint8), known)
