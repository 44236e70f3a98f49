"""How well an attention map agrees with a mask, one value a sample; nothing here has a gradient.

All take attention (B, H, W) in [0, 1] at the mask's resolution (see `upsample`) and a mask
(B, H, W), where values above 0.5 are on.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.attention.maps import normalize, upsample

#: The threshold of CAMAL's Eq. 8.
TAU = 0.7


@torch.no_grad()
def iou(attention: Tensor, mask: Tensor, threshold: float = TAU) -> Tensor:
    """Intersection over union of {attention > threshold} and the mask, (B,) (CAMAL, Eq. 8).

    An empty mask scores 0, and so does a dead map; leave out the samples without a target when
    you average.
    """
    _same_size(attention, mask)
    attended, wanted = attention > threshold, mask > 0.5
    intersection = (attended & wanted).sum(dim=(1, 2))
    union = (attended | wanted).sum(dim=(1, 2))
    return intersection / union.clamp_min(1)


@torch.no_grad()
def pointing_game(attention: Tensor, mask: Tensor) -> Tensor:
    """1.0 where the most attended pixel lies in the mask, else 0.0, (B,) (Zhang et al. 2018).

    Ties go to the first pixel in reading order; a dead map points nowhere and scores 0.
    """
    _same_size(attention, mask)
    flat = attention.flatten(1)
    peak, where = flat.max(dim=1)
    hit = (mask > 0.5).flatten(1).gather(1, where[:, None])[:, 0]
    return (hit & (peak > 0)).float()


@torch.no_grad()
def iou_ceiling(mask: Tensor, grid: tuple[int, int], threshold: float = TAU) -> Tensor:
    """The IoU that a map of `grid` cells can be expected to reach at best, (B,).

    The mask itself is pooled to the grid, divided by its maximum, upsampled bilinearly and cut
    like any map; the better of area and max pooling counts. Where cells are larger than targets,
    this, and not the training, bounds the IoU.
    """
    full = (mask > 0.5).float()[:, None]
    size = tuple(mask.shape[1:])
    pooled = (F.adaptive_avg_pool2d(full, grid)[:, 0], F.adaptive_max_pool2d(full, grid)[:, 0])
    area, largest = (iou(upsample(normalize(p), size), mask, threshold) for p in pooled)
    return torch.maximum(area, largest)


def _same_size(attention: Tensor, mask: Tensor) -> None:
    if attention.shape != mask.shape:
        raise ValueError(
            f"attention {tuple(attention.shape)} and mask {tuple(mask.shape)} differ in shape; "
            "upsample(attention, mask.shape[1:]) brings the map to the mask"
        )
