"""Suppress-only: no attention outside the mask, and no word on what is inside.

What CAMAL (Hundal et al. 2026, section 3.1 and Table 4) calls the regularisers of earlier work,
"minimizing terms analogous to beta": L1 as in GALS and PARIC, L2 as in RRR.
"""

from typing import Literal

from torch import Tensor

from rl_attn.attention.losses.camal import alpha_beta
from rl_attn.attention.losses.fit import outside
from rl_attn.attention.placed import Attention, map_of, weights_of


def suppress_only(
    attention: Attention | Tensor, mask: Tensor, norm: Literal["l1", "l2"] = "l1"
) -> Tensor:
    """Mean attention (L1: beta of CAMAL's Eq. 1) or mean squared attention outside, (B,).

    Args:
        attention: (B, h, w) in [0, 1].
        mask: (B, H, W) in [0, 1]; L1 compares as if the map were upsampled to it, L2 at the
            map's grid. A full mask has nothing outside: 0.

    >>> attention = torch.tensor([[[1.0, 0.5]]])
    >>> suppress_only(attention, torch.tensor([[[1, 0]]]))
    tensor([0.5000])
    """
    if norm == "l1":
        return alpha_beta(map_of(attention), weights_of(attention, mask))[1]
    if norm != "l2":
        raise ValueError(f"unknown norm {norm!r}: choose l1 or l2")
    away = outside(mask, attention)
    squared = (map_of(attention) * away).square().sum(dim=(1, 2))
    return squared / away.sum(dim=(1, 2)).clamp_min(1e-6)
