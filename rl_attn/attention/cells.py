"""Where the cells of a map lie in the picture.

Maps are commonly stretched over the picture as if their cells covered it evenly. That is right for
networks that pad their borders. Convolutions without padding see no further than the last window
that fits: a cell of CleanRL's network at 160 x 120 sees 36 x 36 pixels round (17.5 + 8 i), while
stretching puts it at 4.5 + 10 i, up to 17 pixels away, which is more than most monsters measure.
`Cells` says where the cells truly are; `fields.py` finds it for any network. None, where a bare map
is taken, means stretched.

Letters: B samples, h x w cells, H x W pixels.
"""

from functools import lru_cache
from typing import cast, overload

import torch
import torch.nn.functional as F
from torch import Tensor

#: (first, step): cell i is centred at pixel first + i * step.
Line = tuple[float, float]

#: Along both axes, or the rows' line and the columns'.
Cells = Line | tuple[Line, Line]

#: Cells along a side below which a map hardly says where.
FEW = 5

#: Every pixel is a cell of its own.
PIXELS: Cells = (0.0, 1.0)


@overload
def lines(cells: None) -> tuple[None, None]: ...
@overload
def lines(cells: Cells) -> tuple[Line, Line]: ...
def lines(cells: Cells | None) -> tuple[Line, Line] | tuple[None, None]:
    """The rows' line and the columns'."""
    if cells is None:
        return None, None
    both = cells if isinstance(cells[0], tuple) else (cells, cells)
    return cast("tuple[Line, Line]", both)


def size_of(pictures: Tensor) -> tuple[int, int]:
    """(H, W) of pictures, masks or maps (..., H, W)."""
    return pictures.shape[-2], pictures.shape[-1]


def evenly(size: tuple[int, int], grid: tuple[int, int]) -> Cells:
    """Cells (h, w) that cover a picture (H, W) evenly, as the patches of a transformer do.

    >>> evenly((224, 224), (14, 14))
    (7.5, 16.0)
    """
    rows, columns = (((n / m - 1) / 2, n / m) for n, m in zip(size, grid, strict=True))
    return rows if rows == columns else (rows, columns)


@lru_cache(maxsize=64)
def interpolation(
    size: int, grid: int, cells: Line | None, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """(size, grid) matrix of the linear interpolation from `grid` cells to `size` pixels.

    Pixels beyond the first and the last cell's centre have that cell's value. With None it is
    `torch.nn.functional.interpolate`, pixel centres aligned.
    """
    weights = torch.eye(grid, device=device, dtype=dtype)  # (cell, grid)
    if cells is None:
        stretched = F.interpolate(weights[None], size=size, mode="linear", align_corners=False)
        return stretched[0].T.contiguous()
    place = _places(size, cells, device, dtype).clamp(0, grid - 1)  # (size,), in cells
    return (1 - (place[:, None] - torch.arange(grid, device=device)).abs()).clamp_min(0)


@lru_cache(maxsize=64)
def nearest_cell(size: int, grid: int, cells: Line, device: torch.device) -> Tensor:
    """Which of `grid` cells is nearest to each pixel, (size,) int64; the lower one in a tie."""
    place = _places(size, cells, device, torch.float64)
    return (place - 0.5).ceil().clamp(0, grid - 1).long()


@lru_cache(maxsize=64)
def fade(size: int, grid: int, cells: Line | None, device: torch.device) -> Tensor:
    """(size,) 1 between the outermost of `grid` cells, falling to 0 one cell beyond them; all 1 for
    cells that cover the picture evenly."""
    if cells is None:
        return torch.ones(size, device=device)
    place = _places(size, cells, device, torch.float32)
    return (1 - (place - place.clamp(0, grid - 1)).abs()).clamp_min(0)


def _places(size: int, cells: Line, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Where each pixel lies, counted in cells, (size,)."""
    first, step = cells
    return (torch.arange(size, device=device, dtype=dtype) - first) / step


def few(grid: tuple[int, int], size: tuple[int, int], layer: str) -> str:
    """What to say of a map (h, w) that is too coarse for pictures (H, W); "" of one that is not.

    >>> few((3, 3), (96, 96), "layer4")[:54]
    'maps of layer4 have 3 x 3 cells for 96 x 96 pixels, wh'
    >>> few((7, 7), (224, 224), "layer4")
    ''
    """
    if min(grid) >= FEW or min(size) <= min(grid):
        return ""
    (rows, columns), (height, width) = grid, size
    return (
        f"maps of {layer} have {rows} x {columns} cells for {height} x {width} pixels, which "
        "hardly say where: train at a larger --size, or on an earlier --layer"
    )
