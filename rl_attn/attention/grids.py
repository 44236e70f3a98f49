"""From what a layer returns to feature maps (B, K, h, w), and back.

`as_maps` gives both the maps and the layer's output *recomputed from them*. The network goes on
with the latter, so the maps lie on the way from the input to the score and a gradient by them is
the gradient by the layer's output, whatever its layout: channels first (B, K, h, w), channels last
(B, h, w, K), or tokens (B, N, K) with class or register tokens in front of the patches.
"""

from typing import Literal

import torch
from torch import Tensor, nn

Layout = Literal["channels_first", "channels_last", "tokens"]

#: Layers that work on (B, K, h, w) alone.
CHANNELS_FIRST = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


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
    maps = output[:, prefix:].transpose(1, 2).unflatten(2, grid)  # (B, K, h, w)
    patches = maps.flatten(2).transpose(1, 2)  # (B, h*w, K)
    return maps, torch.cat([output[:, :prefix], patches], 1) if prefix else patches


def layout_of(
    around: list[nn.Module],
    layer: nn.Module,
    output: Tensor,
    picture: tuple[int, int] | None = None,
) -> Layout:
    """How `layer` lays out its output: from its type where that tells, or what is around it.

    Raises:
        ValueError: neither tells, and the cells found so do not have the proportions of the
            picture (H, W).
    """
    if output.ndim == 3:
        return "tokens"
    if output.ndim != 4:
        raise ValueError(
            f"a {type(layer).__name__} that returns {tuple(output.shape)} holds no feature maps; "
            "tap a layer that returns (B, K, h, w), (B, h, w, K) or tokens (B, N, K)"
        )
    if type(layer) in (nn.LayerNorm, nn.Linear):  # both work on the last axis
        return "channels_last"
    if isinstance(layer, CHANNELS_FIRST) or getattr(layer, "dims", None) == [0, 3, 1, 2]:
        return "channels_first"
    last = any(_passes_channels_last(module) for module in around)
    grid = tuple(output.shape[1:3] if last else output.shape[2:])
    if picture and not _alike(grid, picture):
        raise ValueError(
            f"a {type(layer).__name__} returns {tuple(output.shape)}, and {grid[0]} x {grid[1]} "
            f"cells do not have the proportions of the picture, {picture[0]} x {picture[1]}: name "
            'the layout, tap(..., layout="channels_last") for (B, h, w, K) or "channels_first"'
        )
    return "channels_last" if last else "channels_first"


def _passes_channels_last(module: nn.Module) -> bool:
    """Whether a model's blocks pass (B, h, w, K) along: timm says so, torchvision's is known."""
    if type(module).__name__ == "SwinTransformer":
        return True
    return str(getattr(module, "output_fmt", "")).endswith("NHWC")


def _alike(grid: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether cells are at most twice as wide as high, or the reverse, give or take one cell:
    convolutions without padding lose as many cells of the short side as of the long one."""
    (rows, columns), (height, width) = grid, picture
    wide, high = (columns - 1) * height, (rows - 1) * width
    return wide <= 2 * (rows + 1) * width and high <= 2 * (columns + 1) * height


def prefix_of(around: list[nn.Module]) -> int:
    """Tokens in front of the patches, as the nearest module around the layer says that knows: timm
    how many, others have a class token or none."""
    names = ("class_token", "cls_token", "class_embedding")
    for module in around:
        if hasattr(module, "num_prefix_tokens"):
            return int(module.num_prefix_tokens)
        if any(getattr(module, name, None) is not None for name in names):
            return 1
    return 0


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
