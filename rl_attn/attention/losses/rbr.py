"""RBR: right for better reasons, constraining influence functions (Shao et al. 2021).

The influence of a pixel on the trained parameters, with the Hessian taken as the identity, is
d/dx sum_j (d loss / d theta_j). The XIL typology (Friedrich et al. 2023), whose code is the one in
public, multiplies it by RRR's input gradient and squares:

    penalty = sum over pixels of (A * influence * gradient)^2,  A = 1 - mask,

with weight 1e5. Its loss is the batch's mean, so its influence is 1/B and its penalty 1/B^2 of what
is given here.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from rl_attn.attention.losses.rrr import rrr


def rbr_influence(loss: Tensor, parameters: Iterable[Tensor], inputs: Tensor) -> Tensor:
    """d/dx sum_j (d loss_b / d theta_j), (B, C, H, W), with its graph.

    Args:
        loss: (B,) of the task, one a sample.
        parameters: of the network; those the loss does not reach are left out.
        inputs: (B, C, H, W) that require a gradient.

    >>> x = torch.ones(1, 1, 1, 2, requires_grad=True)
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> loss = layer(x.flatten(1))[:, 0] ** 2
    >>> rbr_influence(loss, layer.parameters(), x).shape
    torch.Size([1, 1, 1, 2])
    """
    gradients = torch.autograd.grad(
        loss.sum(), tuple(parameters), create_graph=True, allow_unused=True
    )
    total = sum((g.sum() for g in gradients if g is not None), start=loss.new_zeros(()))
    return torch.autograd.grad(total, inputs, create_graph=True)[0]


def rbr(influence: Tensor, gradient: Tensor, mask: Tensor) -> Tensor:
    """RBR (Shao et al. 2021): influence times gradient, squared, summed off the mask, (B,).

    Args:
        influence: (B, C, H, W) from `rbr_influence`.
        gradient: (B, C, H, W), the gradient of `rrr_score` by the input.
        mask: (B, H, W) in [0, 1], where evidence may come from.

    >>> ones = torch.ones(1, 1, 1, 2)
    >>> rbr(3 * ones, 2 * ones, torch.tensor([[[1, 0]]]))  # (3 * 2)^2 at one pixel
    tensor([36.])
    """
    if influence.shape != gradient.shape:
        raise ValueError(
            f"influence {tuple(influence.shape)} and gradient {tuple(gradient.shape)} differ; "
            "both are taken by the same input"
        )
    return rrr(influence * gradient, mask)
