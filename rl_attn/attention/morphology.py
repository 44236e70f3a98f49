"""What methods do to a mask's shape: dilation, erosion, and the edge band of Learning to Look.

Masks are (B, H, W), binary or in [0, 1]; all runs batched on their device. Nothing lies beyond the
picture's border: it neither spreads into a dilation nor eats into an erosion (OpenCV's default).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Element = Literal["square", "disk"]


def dilate(mask: Tensor, radius: int, element: Element = "square") -> Tensor:
    """Each pixel becomes the largest within `radius`, (B, H, W) float.

    Args:
        radius: in pixels; 0 leaves the mask as it is. A square of radius r is OpenCV's
            (2 r + 1) x (2 r + 1) kernel.
        element: "square" counts max(|dy|, |dx|) <= radius, "disk" dy^2 + dx^2 <= radius^2.

    >>> mask = torch.tensor([[[0, 0, 1, 0, 0]]])
    >>> dilate(mask, radius=1)
    tensor([[[0., 1., 1., 1., 0.]]])
    """
    if mask.ndim != 3 or radius < 0:
        raise ValueError(f"dilate needs a mask (B, H, W) and radius >= 0, got {mask.shape, radius}")
    mask = mask if mask.is_floating_point() else mask.float()
    if element == "square":
        return _widen(_widen(mask, radius, 2), radius, 1)
    if element != "disk":
        raise ValueError(f"unknown element {element!r}: choose square or disk")
    result = mask
    for dy in range(-min(radius, mask.shape[1] - 1), min(radius, mask.shape[1] - 1) + 1):
        row = _widen(mask, int((radius**2 - dy**2) ** 0.5), 2)  # a disk is a stack of rows
        result = torch.maximum(result, _moved(row, dy))
    return result


def erode(mask: Tensor, radius: int, element: Element = "square") -> Tensor:
    """Each pixel becomes the smallest within `radius`, (B, H, W) float; else as `dilate`.

    >>> mask = torch.tensor([[[0, 1, 1, 1, 0]]])
    >>> erode(mask, radius=1)
    tensor([[[0., 0., 1., 0., 0.]]])
    """
    mask = mask if mask.is_floating_point() else mask.float()
    return -dilate(-mask, radius, element)


def edge_band(mask: Tensor, cover: int = 3, edge: int = 1, widen: int = 0) -> Tensor:
    """A ring round each object (Yang et al. 2026, section 4.1): dilate, edge, dilate.

    Args:
        cover: radius of the dilation that makes sure the object is covered.
        edge: radius of the morphological gradient, dilation minus erosion.
        widen: radius of the last, light dilation; the released code has none there.

    >>> mask = torch.zeros(1, 9, 9)
    >>> mask[0, 4, 4] = 1
    >>> edge_band(mask, cover=1)[0, 4]  # the object's middle stays free
    tensor([0., 0., 1., 1., 0., 1., 1., 0., 0.])
    """
    covered = dilate(mask, cover)
    return dilate(dilate(covered, edge) - erode(covered, edge), widen)


def _widen(mask: Tensor, radius: int, dimension: int) -> Tensor:
    """Running maximum over 2 radius + 1 pixels along one dimension of (B, H, W)."""
    radius = min(radius, mask.shape[dimension] - 1)
    lines = mask.movedim(dimension, 2)
    rows = lines.flatten(0, 1)[:, None]  # (B * other, 1, length)
    widened = F.max_pool1d(rows, 2 * radius + 1, 1, padding=radius)  # pads with -inf
    return widened.view_as(lines).movedim(2, dimension)


def _moved(mask: Tensor, rows: int) -> Tensor:
    """Shifted down by `rows`; what comes in is -inf."""
    padded = F.pad(mask, (0, 0, max(rows, 0), max(-rows, 0)), value=-torch.inf)
    return padded[:, max(-rows, 0) : max(-rows, 0) + mask.shape[1]]
