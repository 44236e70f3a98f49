"""CAMAL: attend to the mask, and nowhere else (Hundal et al. 2026).

With H the map upsampled to the mask M, Eq. 1 and 2 are

    alpha = sum(H M) / sum(M),  beta = sum(H (1 - M)) / sum(1 - M),  loss = beta - alpha.
"""

from typing import Literal

from torch import Tensor

from rl_attn.attention.masks import MaskWeights
from rl_attn.attention.placed import Attention, map_of, weights_of

EmptyMask = Literal["skip", "suppress"]


def alpha_beta(attention: Tensor, weights: MaskWeights) -> tuple[Tensor, Tensor]:
    """Mean attention inside (alpha) and outside (beta) the mask (CAMAL, Eq. 1).

    Args:
        attention: (B, h, w) in [0, 1].
        weights: the masks at that grid, from `mask_weights`.

    Returns:
        Two tensors (B,) in [0, 1], equal to Eq. 1 on the bilinearly upsampled map. alpha is 0
        where the mask is empty, beta is 0 where it is full (Eq. 1 divides by zero there).

    >>> attention = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    >>> mask = torch.tensor([[[1, 0], [0, 0]]])
    >>> alpha_beta(attention, mask_weights(mask, (2, 2)))
    (tensor([1.]), tensor([0.3333]))
    """
    if attention.shape != weights.inside.shape:
        raise ValueError(
            f"attention {tuple(attention.shape)} and mask weights {tuple(weights.inside.shape)} "
            "differ; build the weights with mask_weights(mask, attention.shape[1:])"
        )
    alpha = (attention * weights.inside).sum(dim=(1, 2))
    beta = (attention * weights.outside).sum(dim=(1, 2))
    return alpha, beta


def camal(attention: Attention | Tensor, mask: Tensor, *, empty_mask: EmptyMask = "skip") -> Tensor:
    """CAMAL: attend to the mask, and nowhere else (Hundal et al. 2026, Eq. 1 and 2).

    Args:
        attention: in [0, 1]; a grid coarser than the mask's is compared as if it were upsampled
            bilinearly to it, by its cells; a bare map (B, h, w) covers the mask evenly.
        mask: (B, H, W), see `in_unit`.
        empty_mask: what a mask without a pixel asks for, see `camal_loss`.

    Returns:
        (B,) beta - alpha, in [-1, 1].

    >>> attention = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    >>> mask = torch.tensor([[[1, 0], [0, 0]]])
    >>> camal(attention, mask)  # alpha is 1, beta a third
    tensor([-0.6667])
    """
    maps, weights = map_of(attention), weights_of(attention, mask)
    return camal_loss(*alpha_beta(maps, weights), weights.present, empty_mask)


def camal_loss(
    alpha: Tensor, beta: Tensor, present: Tensor, empty_mask: EmptyMask = "skip"
) -> Tensor:
    """beta - alpha (B,), where alpha and beta are known already.

    Eq. 1 is 0/0 for an empty mask, which is every fifth frame of some Doom scenarios. "skip"
    gives such a sample no loss (0, so a batch mean still divides by B as Eq. 2 does);
    "suppress" gives it beta: with nothing to look at, attend to nothing.

    >>> alpha, beta = torch.tensor([0.9, 0.0]), torch.tensor([0.1, 0.1])
    >>> present = torch.tensor([True, False])
    >>> camal_loss(alpha, beta, present)
    tensor([-0.8000,  0.0000])
    >>> camal_loss(alpha, beta, present, "suppress")
    tensor([-0.8000,  0.1000])
    """
    if empty_mask == "skip":
        return (beta - alpha) * present
    if empty_mask == "suppress":
        return beta - alpha  # alpha is 0 without a mask
    raise ValueError(f"unknown empty_mask {empty_mask!r}: choose skip or suppress")
