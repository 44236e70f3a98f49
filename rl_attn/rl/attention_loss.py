"""The CAMAL loss on a mini-batch of an actor-critic, with its parts for the log.

Letters: B samples, h x w cells of the maps.
"""

import torch
from torch import Tensor

from rl_attn.attention import MaskWeights, alpha_beta, camal_loss, entropy
from rl_attn.rl.entries import Log, over


def camal_terms(
    attention: Tensor, weights: MaskWeights, empty_mask: str, objective: str = "camal"
) -> tuple[Tensor, Log]:
    """mean(beta - alpha) (Hundal et al. 2026, Eq. 2), a scalar, and its parts for the log.

    Args:
        attention: (B, h, w).
        weights: the samples' masks at that grid.
        empty_mask: "skip" or "suppress", see `camal_loss`.
        objective: "camal", or in its place "suppress", the mean of beta, or "entropy", of the map.
    """
    alpha, beta = alpha_beta(attention, weights)
    if objective == "entropy":
        loss = entropy(attention).mean()
    else:
        inside = torch.zeros_like(alpha) if objective == "suppress" else alpha
        loss = camal_loss(inside, beta, weights.present, empty_mask).mean()
    return loss, {
        "attention/camal": loss,
        "attention/alpha": over(alpha.clamp_min(0), weights.present),  # dead: nothing attended
        "attention/beta": over(beta.clamp_min(0), weights.present),
        "attention/empty_masks": 1 - weights.present.float().mean(),
        "attention/dead_maps": (attention.detach().amax(dim=(1, 2)) <= 0).float().mean(),
    }
