"""An attention map and where its cells lie travel together.

    attention = Attention(grad_cam(score, features), cells)
    attention.upsample(images.shape[2:])             # (B, H, W)
    camal(attention, masks)                          # every loss places it by its cells

Cells belong to the map: a network says where they lie, or `find_cells` finds it, and whoever gets
the map need not know. Letters: B samples, h x w cells, H x W pixels.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from rl_attn.attention.cells import PIXELS, Cells, fade, lines, size_of
from rl_attn.attention.maps import upsample
from rl_attn.attention.masks import MaskWeights, mask_weights


@dataclass(frozen=True)
class Attention:
    """Maps of one network's cells.

    >>> attention = Attention(torch.tensor([[[1.0, 0.0]]]), (0.5, 2.0))
    >>> attention.upsample((2, 4))[0, 0]
    tensor([1.0000, 0.7500, 0.2500, 0.0000])
    """

    map: Tensor  # (B, h, w), in [0, 1] but for signed maps
    cells: Cells  # where the cells lie in the picture

    def __post_init__(self) -> None:
        if self.cells is None or self.map.ndim != 3:
            raise ValueError(
                f"attention is a map (B, h, w) and its cells, got {tuple(self.map.shape)} and "
                f"{self.cells}: find_cells says where a network's cells lie"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w)."""
        return size_of(self.map)

    def upsample(self, size: tuple[int, int]) -> Tensor:
        """Bilinearly to the picture's (H, W): (B, H, W)."""
        if self.cells == PIXELS and self.grid == size:
            return self.map
        return upsample(self.map, size, self.cells)

    def faded(self, size: tuple[int, int]) -> Tensor:
        """`upsample` for pictures, (B, H, W): beyond the outermost cells, whose values it repeats
        up to the border (and which measures count there), the map fades out within one cell."""
        full = self.upsample(size)
        down, across = (
            fade(n, m, line, full.device)
            for n, m, line in zip(size, self.grid, lines(self.cells), strict=True)
        )
        return full * down[:, None] * across

    def weights(self, mask: Tensor) -> MaskWeights:
        """`mask_weights` of masks (B, H, W) at these cells."""
        return mask_weights(mask.to(self.map.device), self.grid, self.cells)

    @property
    def magnitude(self) -> "Attention":
        """Of a signed map, how much there is for or against, in [0, 1]."""
        return replace(self, map=self.map.abs())

    def detach(self) -> "Attention":
        return replace(self, map=self.map.detach())

    def __getitem__(self, rows) -> "Attention":
        """Samples by a tensor of indices, a mask (B,) or a slice."""
        return replace(self, map=self.map[rows])

    def __len__(self) -> int:
        return len(self.map)


def map_of(attention: Attention | Tensor) -> Tensor:
    """The map (B, h, w) of an `Attention`; a bare map or attribution as it is."""
    return attention.map if isinstance(attention, Attention) else attention


def weights_of(attention: Attention | Tensor, mask: Tensor) -> MaskWeights:
    """`mask_weights` at the cells of an `Attention`; a bare map covers the mask evenly."""
    if isinstance(attention, Attention):
        return attention.weights(mask)
    return mask_weights(mask.to(attention.device), size_of(attention))
