"""Pictures and masks to another size, by one rule: antialiased bilinear interpolation of bytes.

Going down, every pixel counts (an area of the old picture, weighted by a triangle); going up it is
plain bilinear. It is Pillow's and torchvision's default, which the papers' pipelines use. Masks go
through the same filter as their pictures, so both stay aligned, and get soft edges. torch does it
itself: importing torchvision for it would double the start of a run.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.supervised.data.dataset import Split

_CHUNK = 4096  # pictures at a time: the filter works in floats


def resize(images: Tensor, size: int, mode: str = "bilinear") -> Tensor:
    """uint8 (..., H, W) as uint8 (..., size, size)."""
    if tuple(images.shape[-2:]) == (size, size) or len(images) == 0:
        return images.reshape(*images.shape[:-2], size, size)
    return torch.cat([_interpolated(part, size, mode) for part in images.split(_CHUNK)])


def _interpolated(images: Tensor, size: int, mode: str) -> Tensor:
    """torch filters bytes themselves on a CPU, and floats alone on a GPU."""
    flat = images.reshape(-1, 1, *images.shape[-2:])
    values = flat if flat.device.type == "cpu" else flat.float()
    new = F.interpolate(values, (size, size), mode=mode, align_corners=False, antialias=True)
    if new.dtype != torch.uint8:
        new = new.clamp(0, 255).round().byte()
    return new.reshape(*images.shape[:-2], size, size)


def resize_masks(masks: Tensor, known: Tensor | None, size: int) -> tuple[Tensor, Tensor | None]:
    """uint8 and bool (N, H, W) as (N, size, size); a pixel is known where at least half of what it
    is made of is, and has the value of that part."""
    masks = resize(masks, size)
    if known is None or known.shape[1:] == (size, size):
        return masks, known
    share = resize(known.to(torch.uint8) * 255, size).float()
    known = share > 127
    mean = (masks.float() * 255 / share.clamp_min(1)).clamp_max(255)
    return mean.round().byte() * known, known


def resize_split(split: Split, size: int) -> Split:
    """Pictures, masks and what is known of them alike."""
    masks, known = split.masks, split.known
    if masks is not None:
        masks, known = resize_masks(masks, known, size)
    return replace(split, images=resize(split.images, size), masks=masks, known=known)
