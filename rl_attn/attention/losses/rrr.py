"""RRR: small input gradients where the evidence should not come from (Ross et al. 2017).

The "right reasons" term of their loss: sum over pixels of (A_d * d/dx_d sum_c log p_c)^2, where
A = 1 - mask. Their notebook sums it over the batch with weight 1000 beside a summed cross-entropy.

    gradient = input_gradient(rrr_score(logits), images)         # second order on
    loss = F.cross_entropy(logits, y) + 1000 * rrr(gradient, mask).mean()

`rrr` of a Grad-CAM map of the predicted class, made without ReLU and normalised by min-max, is
RRR-G (Schramowski et al. 2020) as the XIL typology runs it.

`rrr_colour` is ours: where the object's own colour is the shortcut, no pixel is wrong, but a
direction is.
"""

from torch import Tensor

from rl_attn.attention.losses.fit import outside
from rl_attn.attention.placed import Attention, map_of


def rrr_score(logits: Tensor) -> Tensor:
    """The score (B,) whose gradient RRR takes: the log-probabilities (B, classes), summed.

    >>> rrr_score(torch.zeros(1, 2))  # 2 ln(1/2)
    tensor([-1.3863])
    """
    return logits.log_softmax(1).sum(1)


def rrr(attribution: Attention | Tensor, mask: Tensor) -> Tensor:
    """RRR (Ross et al. 2017): the summed squared attribution outside the mask, (B,).

    Args:
        attribution: (B, C, H, W), the gradient of `rrr_score` by the input, or a map (B, h, w).
        mask: (B, H, W) in [0, 1], where evidence may come from: 1 - A of the paper.

    >>> rrr(torch.full((1, 1, 1, 2), 2.0), torch.tensor([[[1, 0]]]))
    tensor([4.])
    """
    return (map_of(attribution) * outside(mask, attribution)).square().flatten(1).sum(1)


def rrr_colour(gradient: Tensor) -> Tensor:
    """The summed squared gradient along changes of colour that keep the brightness, (B,).

    At every pixel that is the gradient less its mean over the channels; its part along grey, which
    makes the pixel brighter or darker, is free.

    Args:
        gradient: (B, C, H, W) of `rrr_score` by pictures in one unit for all channels: divide by
            the standard deviations that pictures were normalised with.

    Raises:
        ValueError: not (B, C, H, W), or a single channel, which has no colour.

    >>> grey, red = torch.zeros(2, 3, 1, 1)
    >>> grey[:], red[0] = 1, 1
    >>> rrr_colour(torch.stack([grey, red]))
    tensor([0.0000, 0.6667])
    """
    if gradient.ndim != 4 or gradient.shape[1] < 2:
        raise ValueError(f"rrr_colour needs (B, C >= 2, H, W), got {tuple(gradient.shape)}")
    return (gradient - gradient.mean(1, keepdim=True)).square().flatten(1).sum(1)
