"""Guided backpropagation: gradients that only pass ReLUs forwards and backwards alike.

    with guided_relus():
        logits = model(x.requires_grad_())
    gradient = input_gradient(logits.gather(1, y[:, None])[:, 0], x)

In the backward pass of a ReLU, Springenberg et al. (2015, Sec. 3.4) let through what is positive
*and* belongs to a positive input. Every ReLU counts, module or function, so that the same lines
work for any network; the model itself is not touched. Networks without ReLU (GELU, SiLU) have no
guided backpropagation. The attribution does not depend much on the class (Adebayo et al. 2018).
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rl_attn.attention.inputs import ScoreOf, input_gradient
from rl_attn.attention.taps import differentiable_attention

RELUS = {F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}


class guided_relus(TorchFunctionMode):
    """Inside the block, every ReLU that runs is guided; leaving it without one is an error."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function not in RELUS:
            return function(*args, **(kwargs or {}))
        self.count += 1
        return _GuidedReLU.apply(args[0] if args else kwargs["input"])

    def __exit__(self, kind, value, traceback):
        super().__exit__(kind, value, traceback)
        if kind is None and not self.count:
            raise ValueError(
                "no ReLU ran inside guided_relus(): guided backpropagation is defined for ReLU "
                "networks alone; take input_gradient or smooth_grad"
            )


def guided_backpropagation(
    score_of: ScoreOf, pictures: Tensor, *, second_order: bool = True
) -> Tensor:
    """Guided backpropagation of `score_of(pictures, rows)` by the pictures, (B, C, H, W).

    Args:
        score_of: as in `inputs.py`, e.g. `class_score(model, labels)`.
        pictures: (B, C, H, W).
        second_order: let a loss on the result reach the parameters.
    """
    rows = torch.arange(len(pictures), device=pictures.device)
    leaf = pictures if pictures.requires_grad else pictures.detach().requires_grad_()
    with torch.enable_grad(), guided_relus(), differentiable_attention():
        score = score_of(leaf, rows)
    gradient = input_gradient(score, leaf, second_order=second_order)
    return gradient if second_order else gradient.detach()


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(context, tensor: Tensor) -> Tensor:
        context.save_for_backward(tensor)
        return tensor.clamp_min(0)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (tensor,) = context.saved_tensors
        return gradient.clamp_min(0) * (tensor > 0)
