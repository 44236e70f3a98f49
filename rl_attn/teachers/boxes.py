"""The boxes round the connected parts of masks, a whole batch at once, on its device."""

import torch
import torch.nn.functional as F
from torch import Tensor


def boxes(masks: Tensor) -> Tensor:
    """Fill the bounding box of every connected part (of 8 neighbours), (B, h, w) bool.

    Each cell learns the corners of its part from its neighbours, until nothing changes: at most
    h*w steps, for a snake; a few for what maps look like.
    """
    height, width = masks.shape[1:]
    rows = torch.arange(height, device=masks.device)[:, None].expand(height, width)
    columns = torch.arange(width, device=masks.device)[None, :].expand(height, width)
    # Negated, a smallest row is a largest one: one maximum serves all four sides.
    sides = torch.stack([-rows, rows, -columns, columns]).float().expand(len(masks), 4, -1, -1)
    off = ~masks[:, None]
    sides = sides.masked_fill(off, -torch.inf)
    while True:
        wider = F.max_pool2d(sides, 3, 1, padding=1).masked_fill(off, -torch.inf)
        if torch.equal(wider, sides):
            return _filled(sides, masks)
        sides = wider


def _filled(sides: Tensor, masks: Tensor) -> Tensor:
    """Mark each cell's rectangle at its corners; the sums over rows and columns fill it."""
    batch, height, width = masks.shape
    which, row, column = masks.nonzero(as_tuple=True)
    top, bottom, left, right = sides[which, :, row, column].long().unbind(1)
    top, left = -top, -left
    marks = torch.zeros(batch, height + 1, width + 1, device=masks.device)
    for r, c, sign in (
        (top, left, 1.0),
        (top, right + 1, -1.0),
        (bottom + 1, left, -1.0),
        (bottom + 1, right + 1, 1.0),
    ):
        ones = torch.full_like(r, sign, dtype=marks.dtype)
        marks.index_put_((which, r, c), ones, accumulate=True)
    return marks.cumsum(1).cumsum(2)[:, :height, :width] > 0.5
