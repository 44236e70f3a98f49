"""How well an attention map agrees with a mask, one value a sample; nothing here has a gradient.

All take attention (B, H, W) in [0, 1] at the mask's resolution (see `upsample`) and a mask
(B, H, W), see `in_unit`, where values above 0.5 are on. A map with a pixel that is negative (as a
signed dead map is) or not finite is no attention in this sense: its value is NaN. The means inside
and outside, alpha and beta, are `alpha_beta` in `losses/camal.py`; insertion and deletion are in
`curves.py`.
"""

import torch
from torch import Tensor

from rl_attn.attention.cells import Cells, size_of
from rl_attn.attention.maps import DEAD, normalize, upsample
from rl_attn.attention.masks import in_unit, pool_mask

#: The threshold of CAMAL's Eq. 8.
TAU = 0.7


@torch.no_grad()
def iou(attention: Tensor, mask: Tensor, threshold: float = TAU) -> Tensor:
    """Intersection over union of {attention > threshold} and the mask, (B,) (CAMAL, Eq. 8).

    An empty mask scores 0, and so does a dead map; leave out the samples without a target when
    you average.

    >>> iou(torch.tensor([[[1.0, 0.9, 0.1]]]), torch.tensor([[[1, 0, 0]]]))
    tensor([0.5000])
    """
    wanted = _wanted(attention, mask)
    attended = attention > threshold
    intersection = (attended & wanted).sum(dim=(1, 2))
    union = (attended | wanted).sum(dim=(1, 2))
    return of_attention(intersection / union.clamp_min(1), attention)


@torch.no_grad()
def iou_curve(attention: Tensor, mask: Tensor, thresholds: Tensor) -> Tensor:
    """`iou` at every threshold at once, (B, T), from one histogram a sample.

    Args:
        thresholds: (T,), ascending.

    >>> attention, mask = torch.tensor([[[1.0, 0.6, 0.1]]]), torch.tensor([[[1, 0, 0]]])
    >>> iou_curve(attention, mask, torch.tensor([0.5, 0.7]))
    tensor([[0.5000, 1.0000]])
    """
    wanted = _wanted(attention, mask).flatten(1)
    thresholds = thresholds.to(attention).contiguous()
    if (thresholds.diff() < 0).any():
        raise ValueError("thresholds must be in ascending order")
    # How many thresholds each pixel is above: it is attended at exactly those.
    above = torch.searchsorted(thresholds, attention.flatten(1).contiguous())  # (B, H*W)
    attended = _at_each(above, torch.ones_like(wanted), len(thresholds))  # (B, T)
    intersection = _at_each(above, wanted, len(thresholds))
    union = wanted.sum(1, keepdim=True) + attended - intersection
    return of_attention(intersection / union.clamp_min(1), attention)


@torch.no_grad()
def energy_inside(attention: Tensor, mask: Tensor) -> Tensor:
    """Share of the attention that lies in the mask, (B,).

    The energy-based pointing game of Score-CAM (Wang et al. 2020). A dead map has none: 0.

    >>> energy_inside(torch.tensor([[[1.0, 0.0, 0.0, 1.0]]]), torch.tensor([[[1, 1, 0, 0]]]))
    tensor([0.5000])
    """
    inside = (attention * _wanted(attention, mask)).sum(dim=(1, 2))
    return of_attention(inside / attention.sum(dim=(1, 2)).clamp_min(DEAD), attention)


class SpatialVariance:
    """Variance of attention at each pixel over a data set (CAMAL, Fig. 3, bottom right).

        variance = SpatialVariance()
        for images in data:
            variance.add(attention_of(images))
        picture = variance.value                     # (H, W)

    Batches are merged exactly (Chan et al. 1983), in float64, whatever their sizes.

    >>> variance = SpatialVariance()
    >>> variance.add(torch.tensor([[[0.0, 1.0]], [[1.0, 1.0]]]))
    >>> variance.value
    tensor([[0.2500, 0.0000]], dtype=torch.float64)
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None  # (H, W)
        self.squares: Tensor | None = None  # (H, W): sum of squared distances from the mean

    @torch.no_grad()
    def add(self, maps: Tensor) -> None:
        """maps: (B, H, W), always of the same size."""
        maps = maps.double()
        mean, number = maps.mean(0), len(maps)
        squares = (maps - mean).square().sum(0)
        if self.mean is None or self.squares is None:
            self.count, self.mean, self.squares = number, mean, squares
            return
        total, shift = self.count + number, mean - self.mean
        self.mean = self.mean + shift * (number / total)
        self.squares = self.squares + squares + shift.square() * (self.count * number / total)
        self.count = total

    @property
    def value(self) -> Tensor:
        """(H, W) float64, the population's variance."""
        if self.squares is None:
            raise ValueError("no maps have been added")
        return self.squares / self.count


@torch.no_grad()
def pointing_game(attention: Tensor, mask: Tensor) -> Tensor:
    """1.0 where the most attended pixel lies in the mask, else 0.0, (B,) (Zhang et al. 2018).

    Ties go to the first pixel in reading order; a dead map points nowhere and scores 0.

    >>> pointing_game(torch.tensor([[[0.2, 0.9]]]), torch.tensor([[[0, 1]]]))
    tensor([1.])
    """
    wanted = _wanted(attention, mask).flatten(1)
    peak, where = attention.flatten(1).max(dim=1)
    hit = wanted.gather(1, where[:, None])[:, 0]
    return of_attention((hit & (peak > 0)).float(), attention)


@torch.no_grad()
def iou_ceiling(
    mask: Tensor, grid: tuple[int, int], threshold: float = TAU, cells: Cells | None = None
) -> Tensor:
    """The IoU that a map of `grid` cells can be expected to reach at best, (B,).

    The mask itself is pooled to the grid, divided by its maximum, upsampled bilinearly and cut
    like any map; the better of area and max pooling counts. Where cells are larger than targets,
    this, and not the training, bounds the IoU. `cells`: where they lie, as in `upsample`.

    >>> mask = torch.zeros(1, 8, 8)
    >>> mask[0, :4, :4] = 1
    >>> iou_ceiling(mask, grid=(8, 8)), iou_ceiling(mask, grid=(2, 2))  # coarse cells bound it
    (tensor([1.]), tensor([0.5625]))
    """
    full, size = (in_unit(mask) > 0.5).float(), size_of(mask)
    pooled = (pool_mask(full, grid, cells, mode) for mode in ("area", "max"))
    area, largest = (iou(upsample(normalize(p), size, cells), full, threshold) for p in pooled)
    return torch.maximum(area, largest)


def _at_each(above: Tensor, counted: Tensor, number: int) -> Tensor:
    """How many of the counted pixels lie above each threshold, (B, T)."""
    histogram = torch.zeros(len(above), number + 1, device=above.device)
    histogram.scatter_add_(1, above, counted.float())
    return histogram.flip(1).cumsum(1).flip(1)[:, 1:]


def of_attention(values: Tensor, attention: Tensor) -> Tensor:
    """Values (B,) or (B, T), NaN where a map (B, h, w) has a negative cell or one not finite."""
    no_map = ~(attention.isfinite() & (attention >= 0)).flatten(1).all(1)
    return torch.where(no_map.view(-1, *[1] * (values.ndim - 1)), torch.nan, values)


def _wanted(attention: Tensor, mask: Tensor) -> Tensor:
    """Which pixels of a mask are on, (B, H, W) bool; an error where the map is of another size."""
    if attention.shape != mask.shape:
        raise ValueError(
            f"attention {tuple(attention.shape)} and mask {tuple(mask.shape)} differ in shape; "
            "upsample(attention, mask.shape[1:]) brings the map to the mask"
        )
    return in_unit(mask) > 0.5
