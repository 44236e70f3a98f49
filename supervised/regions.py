"""Pixels that are said to be wrong, beside a mask: single ones where there is ink, and corners.

What CDEP (Rieger et al. 2020) penalises on its two variants of MNIST, and Concept Distillation
(Gupta et al. 2023) after it. A region is (H, W) or (B, H, W), 1 where evidence must not come from.
"""

import torch
from torch import Tensor


def ink_frequency(masks: Tensor) -> Tensor:
    """How often each pixel is on in masks (N, H, W), as a distribution (H, W).

    Masks that are empty everywhere give the uniform one.
    """
    counts = (masks > 0).sum(0).float()
    return counts / counts.sum() if counts.any() else torch.full_like(counts, 1 / counts.numel())


def random_pixels(frequency: Tensor, number: int) -> Tensor:
    """`number` regions of one pixel each, (number, H, W), drawn with replacement from torch's
    global generator, whose state a checkpoint keeps."""
    drawn = torch.multinomial(frequency.flatten().cpu(), number, replacement=True)
    single = torch.zeros(number, frequency.numel())
    single[torch.arange(number), drawn] = 1
    return single.view(number, *frequency.shape).to(frequency.device)


def corners(size: tuple[int, int], side: int) -> Tensor:
    """The four squares of `side` pixels in the corners of a picture of `size`, (H, W)."""
    region = torch.zeros(size)
    for rows in (slice(0, side), slice(size[0] - side, None)):
        for columns in (slice(0, side), slice(size[1] - side, None)):
            region[rows, columns] = 1
    return region
