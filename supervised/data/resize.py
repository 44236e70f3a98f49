"""Pictures and masks to another size, by one rule: antialiased bilinear interpolation of bytes.

Going down, every pixel counts (an area of the old picture, weighted by a triangle); going up it is
plain bilinear. It is Pillow's and torchvision's default, which the papers' pipelines use. Masks go
through the same filter as their pictures, so both stay aligned, and get soft edges.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize as interpolate

from rl_attn.supervised.data.dataset import Split

_CHUNK = 4096  # pictures at a time: the filter works in floats


def resize(images: Tensor, size: int, mode: str = "bilinear") -> Tensor:
    """uint8 (..., H, W) as uint8 (..., size, size)."""
    if tuple(images.shape[-2:]) == (size, size) or len(images) == 0:
        return images.reshape(*images.shape[:-2], size, size)
    kind = InterpolationMode(mode)
    return torch.cat(
        [interpolate(part, [size, size], kind, antialias=True) for part in images.split(_CHUNK)]
    )


def resize_split(split: Split, size: int) -> Split:
    """Pictures and masks alike."""
    masks = None if split.masks is None else resize(split.masks, size)
    return replace(split, images=resize(split.images, size), masks=masks)
