"""What the losses share: masks at the map's grid, and maps as distributions."""

from torch import Tensor, where

from rl_attn.attention.cells import size_of
from rl_attn.attention.maps import DEAD
from rl_attn.attention.masks import Pool, in_unit, pool_mask
from rl_attn.attention.placed import Attention, map_of

#: What is added to every cell of a distribution before its logarithm is taken.
FLOOR = 1e-8


def fit(mask: Tensor, attention: Attention | Tensor, mode: Pool = "area", least: int = 0) -> Tensor:
    """The mask (B, h, w) at the cells, the device and the precision of the attention.

    Args:
        mask: (B, H, W), see `in_unit`, which gets `least`.
        attention: a placed one; or a bare map (B, h, w) or attribution (B, C, h, w), which covers
            the mask evenly.
    """
    cells = attention.cells if isinstance(attention, Attention) else None
    attention = map_of(attention)
    if mask.ndim != 3 or attention.ndim not in (3, 4) or len(mask) != len(attention):
        raise ValueError(
            f"expected attention (B, h, w) or (B, C, h, w) and a mask (B, H, W) of the same B, "
            f"got {tuple(attention.shape)} and {tuple(mask.shape)}"
        )
    mask = in_unit(mask.to(attention.device), least)
    return pool_mask(mask, size_of(attention), cells, mode).to(attention.dtype)


def outside(mask: Tensor, attribution: Attention | Tensor) -> Tensor:
    """1 - mask, shaped to multiply an attribution (B, C, H, W) or a map (B, h, w)."""
    away = 1 - fit(mask, attribution)
    return away[:, None] if map_of(attribution).ndim == 4 else away


def known_mean(values: Tensor, known: Tensor | None, attention: Attention | Tensor) -> Tensor:
    """Means (B,) of cells (B, h, w) over those whose nearest pixel is known; 0 where none is.

    Args:
        known: (B, H, W) bool; None: all are known.
        attention: whose cells these are, as in `fit`.
    """
    if known is None:
        return values.mean(dim=(1, 2))
    share = fit(known, attention, "nearest")
    return (values * share).sum(dim=(1, 2)) / share.sum(dim=(1, 2)).clamp_min(1)


def present(mask: Tensor) -> Tensor:
    """(B,) bool: the mask has something on."""
    return mask.flatten(1).sum(1) > 0


def as_distribution(maps: Tensor, floor: float = 0.0) -> Tensor:
    """Non-negative maps (B, h, w) divided by their sums.

    A map that is zero everywhere becomes the uniform one and passes no gradient on.
    """
    total = maps.sum(dim=(1, 2), keepdim=True)
    dead = total <= DEAD
    cells = maps.shape[1] * maps.shape[2]
    shares = where(dead, 1 / cells, maps / total.masked_fill(dead, 1.0))
    return (shares + floor) / (1 + cells * floor) if floor else shares
