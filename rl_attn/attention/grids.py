"""From what a layer returns to feature maps (B, K, h, w), and back.

`as_maps` gives both the maps and the layer's output *recomputed from them*. The network goes on
with the latter, so the maps lie on the way from the input to the score and a gradient by them is
the gradient by the layer's output, whatever its layout: channels first (B, K, h, w), channels last
(B, h, w, K), or tokens (B, N, K) with class or register tokens in front of the patches.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

Layout = Literal["channels_first", "channels_last", "tokens"]


def as_maps(
    output: Tensor, layout: Layout, prefix: int = 0, grid: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """The feature maps (B, K, h, w) in `output`, and `output` recomputed from them.

    Args:
        output: what the layer returned, 4-D, or 3-D for tokens.
        prefix: tokens in front of the patches; they bypass the maps.
        grid: (h, w) of the patches.
    """
    if layout == "channels_first":
        return output, output
    if layout == "channels_last":
        maps = output.permute(0, 3, 1, 2)  # (B, K, h, w)
        return maps, maps.permute(0, 2, 3, 1)
    if grid is None:
        raise ValueError("tokens need the grid (h, w) of their patches")
    maps = output[:, prefix:].transpose(1, 2).unflatten(2, grid)  # (B, K, h, w)
    patches = maps.flatten(2).transpose(1, 2)  # (B, h*w, K)
    return maps, torch.cat([output[:, :prefix], patches], 1) if prefix else patches


def prefix_of(
    around: list[nn.Module], tokens: int = 0, grids: Sequence[tuple[int, int]] = ()
) -> int:
    """Tokens in front of the patches.

    The nearest module around the layer that knows says it: timm how many, others have a class
    token or none. But the grids (h, w) that convolutions gave in this forward, the latest first,
    are looked at before: a class token may join late, or be a part of something else.
    """
    said = _said_prefix(around)
    for rows, columns in grids:
        spare = tokens - rows * columns
        if spare in (0, said) or (said is None and 0 < spare <= _MOST):
            return spare
    return said or 0


#: Tokens that are taken to be none of a picture's patches: a class, and registers.
_MOST = 16


def _said_prefix(around: list[nn.Module]) -> int | None:
    names = ("class_token", "cls_token", "class_embedding")
    for module in around:
        tokens: Any = getattr(module, "num_prefix_tokens", None)
        if tokens is not None:
            return int(tokens)
        if any(getattr(module, name, None) is not None for name in names):
            return 1
    return None


def grid_of(patches: int, picture: tuple[int, int] | None) -> tuple[int, int]:
    """(h, w) with h*w patches in the picture's (H, W) proportions; a square where unknown."""
    height, width = picture or (1, 1)
    rows = round((patches * height / width) ** 0.5)
    if rows < 1 or patches % rows or not 0.5 < patches / rows**2 * height / width < 2:
        raise ValueError(
            f"{patches} patches do not fill a grid of the proportions {height} x {width}; "
            "give it: tap(..., grid=(h, w)), and prefix=... for tokens in front of the patches"
        )
    return rows, patches // rows
