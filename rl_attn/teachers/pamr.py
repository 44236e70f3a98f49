"""PAMR, pixel-adaptive mask refinement (Araslanov and Roth 2020): masks drawn to a picture's edges.

Each pixel takes the mean of its neighbours' mask values, weighted by how alike their colours are,
again and again. The neighbours are the 8 around it at several distances; alike is

    softmax over neighbours n of  mean over channels of  -|x - x_n| / (0.1 s),

with s the standard deviation of the colours in all those windows, as in the authors' code. Their
distances are made for photographs: those beyond a fifth of a small picture's side are left out.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

DISTANCES = (1, 2, 4, 8, 12, 24)


@torch.no_grad()
def pamr(
    pictures: Tensor,
    masks: Tensor,
    iterations: int = 10,
    distances: Sequence[int] | None = None,
) -> Tensor:
    """Refine masks (B, M, H, W) in [0, 1] by their pictures (B, C, H, W); the shape is kept.

    The pictures' scale does not matter. Memory: 8 len(distances) values a pixel.

    Args:
        distances: of the neighbours, in pixels; by default those of `DISTANCES` that fit.
    """
    if pictures.ndim != 4 or masks.ndim != 4 or pictures.shape[2:] != masks.shape[2:]:
        raise ValueError(
            f"pamr needs pictures (B, C, H, W) and masks (B, M, H, W) of one size, got "
            f"{tuple(pictures.shape)} and {tuple(masks.shape)}"
        )
    if distances is None:
        distances = fitting(min(pictures.shape[2:]))
    weights = alike(pictures.float(), distances)  # (B, 8 D, H, W)
    masks = masks.float()
    for _ in range(iterations):
        around = zip(_neighbours(masks, distances), weights.unbind(1), strict=True)
        masks = sum(neighbour * weight[:, None] for neighbour, weight in around)
    return masks


def fitting(side: int) -> tuple[int, ...]:
    """Those of `DISTANCES` that reach at most a fifth of a picture's side; 1 always."""
    return tuple(distance for distance in DISTANCES if distance <= max(side / 5, 1))


def alike(pictures: Tensor, distances: Sequence[int]) -> Tensor:
    """Weights of each pixel's neighbours, (B, 8 len(distances), H, W), summing to 1."""
    centred = pictures - pictures.mean((2, 3), keepdim=True)  # for the sums of squares below
    total, squares, number = centred * len(distances), centred**2 * len(distances), len(distances)
    for neighbour in _neighbours(centred, distances):
        total, squares, number = total + neighbour, squares + neighbour**2, number + 1
    variance = (squares - total**2 / number) / (number - 1)
    deviation = variance.clamp_min(0).sqrt()  # (B, C, H, W)
    unlike = [
        ((centred - neighbour).abs() / (1e-8 + 0.1 * deviation)).mean(1)
        for neighbour in _neighbours(centred, distances)
    ]
    return (-torch.stack(unlike, 1)).softmax(1)


def _neighbours(maps: Tensor, distances: Sequence[int]) -> Iterator[Tensor]:
    """The maps (B, C, H, W) moved by each offset; beyond the border lies the border's pixel."""
    height, width = maps.shape[2:]
    reach = max(distances)
    padded = F.pad(maps, (reach,) * 4, mode="replicate")
    for distance in distances:
        for down in (-distance, 0, distance):
            for right in (-distance, 0, distance):
                if down or right:
                    top, left = reach + down, reach + right
                    yield padded[:, :, top : top + height, left : left + width]
