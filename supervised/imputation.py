"""RES-L's learned imputation (`methods/res.py`) for maps of any grid."""

from torch import Tensor, nn

from rl_attn.attention import LearnedImputation, resize_mask


class FittedImputation(nn.Module):
    """`LearnedImputation` for any map: labels are first brought to a multiple of its grid.

    Args:
        size: (H, W) of the pictures.
        grid: (h, w) of the maps.
    """

    def __init__(self, size: tuple[int, int], grid: tuple[int, int]):
        super().__init__()
        stride = max(2, 2 * round(size[0] / grid[0] / 2))  # even
        self.size = (grid[0] * stride, grid[1] * stride)
        self.learned = LearnedImputation(stride)

    def forward(self, labels: Tensor) -> Tensor:
        """Positive labels (B, H, W) -> (B, h, w) in [0, 1]."""
        return self.learned(resize_mask(labels, self.size, "nearest"))
