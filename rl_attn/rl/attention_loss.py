"""The CAMAL loss on a mini-batch of an actor-critic, with its parts for the log.

Letters: B samples, h x w cells of the maps.
"""

from typing import Any

from torch import Tensor

from rl_attn.agents import Output
from rl_attn.attention import MaskWeights, alpha_beta, camal_loss, grad_cam
from rl_attn.rl.entries import Log, over
from rl_attn.rl.watch import attention_score


def trained_attention(output: Output, actions: Tensor, target: str, **how: Any) -> Tensor:
    """Maps (B, h, w) that a loss on attention may go through.

    Args:
        output: of the forward that PPO's loss is made of, with `shift=True`.
        actions: (B,), the actions taken.
        target: whose attention, "value" or "action".
        how: normalization, second_order, dead of `grad_cam`.
    """
    score = attention_score(output, actions, target)
    return grad_cam(score, output.features, shift=output.shift, **how)


def camal_terms(attention: Tensor, weights: MaskWeights, empty_mask: str) -> tuple[Tensor, Log]:
    """mean(beta - alpha) (Hundal et al. 2026, Eq. 2), a scalar, and its parts for the log.

    Args:
        attention: (B, h, w).
        weights: the samples' masks at that grid.
        empty_mask: "skip" or "suppress", see `camal_loss`.
    """
    alpha, beta = alpha_beta(attention, weights)
    loss = camal_loss(alpha, beta, weights.present, empty_mask).mean()
    return loss, {
        "attention/camal": loss,
        "attention/alpha": over(alpha.clamp_min(0), weights.present),  # dead: nothing attended
        "attention/beta": over(beta.clamp_min(0), weights.present),
        "attention/empty_masks": 1 - weights.present.float().mean(),
        "attention/dead_maps": (attention.detach().amax(dim=(1, 2)) <= 0).float().mean(),
    }
