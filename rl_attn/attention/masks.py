"""What a mask becomes before attention is compared with it.

CAMAL's alpha and beta (Eq. 1) are weighted sums of the attention map at the mask's resolution,
to which the map is upsampled bilinearly, H = U h. Since U is linear,

    sum(H * M) = sum((U h) * M) = sum(h * U^T M),

so the mask can be brought down to the map's grid once, exactly, instead of bringing the map up
in every training step. `mask_weights` does that; `alpha_beta` in `losses/camal.py` uses it.

For methods that compare cell by cell, `resize_mask` brings the mask to the grid. What a method does
to the mask's shape (dilation, edge bands) is in `morphology.py`, masks that are wrong on purpose in
`controls.py`.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.attention.cells import Cells, interpolation, lines, nearest_cell

Pool = Literal["area", "max", "nearest"]
Resize = Literal["area", "max", "bilinear", "nearest"]


#: By how much pooled or resized masks may leave [0, 1].
_ROUNDING = 1e-4


class MaskWeights(NamedTuple):
    """A mask as weights over the cells of an attention map: alpha = sum(h * inside).

    >>> inside, outside, present = mask_weights(torch.tensor([[[1, 0], [0, 0]]]), (2, 2))
    >>> isinstance(mask_weights(torch.ones(1, 2, 2), (2, 2)), MaskWeights), present
    (True, tensor([True]))
    """

    inside: Tensor  # (B, h, w), sums to 1 a sample; zeros where the mask is empty
    outside: Tensor  # (B, h, w), sums to 1 a sample; zeros where the mask is full
    present: Tensor  # (B,) bool: the mask has at least one pixel on

    def __getitem__(self, index):
        """Rows by a tensor of indices or a slice (all three fields at once)."""
        return MaskWeights(*(field[index] for field in tuple(self)))


def mask_weights(
    mask: Tensor,
    grid: tuple[int, int],
    cells: Cells | None = None,
    known: Tensor | None = None,
) -> MaskWeights:
    """Project masks onto the grid of the attention maps, once, when they arrive.

    Args:
        mask: (B, H, W), see `in_unit`.
        grid: (h, w) of the attention maps; (H, W) leaves the mask as it is.
        cells: where these maps' cells lie in the mask; None: stretched over it.
        known: (B, H, W) bool, False where nobody said whether a pixel matters: such pixels are
            neither inside nor outside. None: all are known.

    >>> weights = mask_weights(torch.tensor([[[1, 0], [0, 0]]]), (2, 2))
    >>> weights.inside
    tensor([[[1., 0.],
             [0., 0.]]])
    """
    if mask.ndim != 3:
        raise ValueError(f"mask must be (B, H, W), got {tuple(mask.shape)}")
    mask = in_unit(mask)
    if known is not None:
        said = known.to(mask.dtype)
        mask = mask * said
    down, across = lines(cells)
    rows = interpolation(mask.shape[1], grid[0], down, mask.device, mask.dtype)  # (H, h)
    columns = interpolation(mask.shape[2], grid[1], across, mask.device, mask.dtype)  # (W, w)
    with torch.autocast(mask.device.type, enabled=False):
        projected = torch.einsum("bHW,Hh,Ww->bhw", mask, rows, columns)  # U^T M
        if known is None:
            everything = rows.sum(0)[:, None] * columns.sum(0)[None, :]  # U^T 1
        else:
            everything = torch.einsum("bHW,Hh,Ww->bhw", said, rows, columns)
    on = mask.sum(dim=(1, 2))  # (B,)
    off = (mask.shape[1] * mask.shape[2] if known is None else said.sum(dim=(1, 2))) - on
    inside = projected / on.clamp_min(torch.finfo(mask.dtype).tiny)[:, None, None]
    outside = (everything - projected) / off.clamp_min(torch.finfo(mask.dtype).tiny)[:, None, None]
    full = (off <= 0)[:, None, None]
    return MaskWeights(inside, outside.masked_fill(full, 0.0), on > 0)


def in_unit(mask: Tensor, least: int = 0) -> Tensor:
    """Masks of any shape as floats in [0, 1]: the one gate of all losses and metrics.

    Args:
        mask: bool; floats in [0, 1], which stay as they are; or integers, all of them 0 or 1, or
            all of them 0 or 255.
        least: -1 for signed labels, whose floats may go down to -1 and whose integers may be -1.

    Raises:
        ValueError: anything else, such as label values or NaN: which of them are on cannot be told.

    >>> in_unit(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([0., 1.])
    """
    if mask.dtype == torch.bool or mask.numel() == 0:
        return mask.float()
    low, high = (value.item() for value in mask.aminmax())
    exact = mask if mask.dtype == torch.float64 else mask.float()
    if least - _ROUNDING <= low and high <= 1 + _ROUNDING:
        return exact
    if not mask.is_floating_point() and high == 255 and ((mask == 0) | (mask == 255)).all():
        return exact / 255
    raise ValueError(
        f"a mask is bool, within [0, 1], or integers of 0 and 255; this {mask.dtype} one goes from "
        f"{low:g} to {high:g}: divide it by its largest value, or compare it with a label"
    )


def resize_mask(mask: Tensor, size: tuple[int, int], mode: Resize = "area") -> Tensor:
    """Masks (B, H, W) of any dtype as (B, h, w) float ones.

    Args:
        size: (h, w), smaller or larger.
        mode: "area" averages what falls into a cell and keeps the mean; "max" turns a cell on
            that any pixel touches, so that no target is lost; "bilinear" samples between the
            four pixels nearest to a cell's centre and "nearest" takes one pixel: going down, both
            can miss a target, and much published code does so.

    >>> mask = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
    >>> resize_mask(mask, (1, 2)), resize_mask(mask, (1, 2), "max")
    (tensor([[[0.5000, 0.0000]]]), tensor([[[1., 0.]]]))
    """
    if mask.ndim != 3:
        raise ValueError(f"mask must be (B, H, W), got {tuple(mask.shape)}")
    mask = mask if mask.dtype == torch.float64 else mask.float()
    if tuple(mask.shape[1:]) == tuple(size):
        return mask
    if mode == "area":
        return F.adaptive_avg_pool2d(mask[:, None], size)[:, 0]
    if mode == "max":
        return F.adaptive_max_pool2d(mask[:, None], size)[:, 0]
    if mode == "bilinear":
        return F.interpolate(mask[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    if mode == "nearest":
        return F.interpolate(mask[:, None], size, mode="nearest")[:, 0]
    raise ValueError(f"unknown mode {mode!r}: choose area, max, bilinear or nearest")


def pool_mask(
    mask: Tensor,
    grid: tuple[int, int],
    cells: Cells | None,
    mode: Pool = "area",
) -> Tensor:
    """Masks or labels (B, H, W) at the cells of a map, (B, h, w) float.

    Each cell takes the mean or the maximum of the pixels nearest to it, those at the rim out to the
    border; or the one pixel at its centre. Without `cells` it is `resize_mask`.

    >>> mask = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
    >>> pool_mask(mask, (1, 2), ((0.0, 1.0), (0.5, 2.0)))
    tensor([[[0.5000, 0.0000]]])
    """
    if cells is None:
        return resize_mask(mask, grid, mode)
    mask = mask if mask.dtype == torch.float64 else mask.float()
    if mode == "nearest":
        rows, columns = (
            (torch.arange(number, device=mask.device) * step + first).round().long()
            for number, (first, step) in zip(grid, lines(cells), strict=True)
        )
        rows, columns = rows.clamp(0, mask.shape[1] - 1), columns.clamp(0, mask.shape[2] - 1)
        return mask[:, rows[:, None], columns]
    reduce = {"area": "mean", "max": "amax"}[mode]
    for axis, number, line in zip((1, 2), grid, lines(cells), strict=True):
        shape = [len(mask), *mask.shape[1:]]
        owner = nearest_cell(shape[axis], number, line, mask.device)
        owner = owner.view(-1, 1) if axis == 1 else owner
        index, shape[axis] = owner.expand_as(mask), number
        mask = mask.new_zeros(shape).scatter_reduce(axis, index, mask, reduce, include_self=False)
    return mask
