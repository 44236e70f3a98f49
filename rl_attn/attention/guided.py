"""Guided backpropagation: gradients that pass a ReLU only where it is open both ways.

    with guided_relus() as guided:
        logits = model(x.requires_grad_())
    gradient = guided.gradient(logits.gather(1, y[:, None])[:, 0], x)     # (B, C, H, W), signed

In the backward pass of a ReLU, Springenberg et al. (2015) let through what is positive
*and* belongs to a positive input. Every ReLU that runs in the block counts, module or function;
the model itself is not touched. Only `guided.gradient` is guided: a loss on the logits, or on the
attribution, has its true gradient, so that the forward can be the task's own.

Networks without ReLU (GELU, SiLU) have no guided backpropagation. What it shows depends little on
the class (Adebayo et al. 2018).
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rl_attn.attention.inputs import ScoreOf, input_gradient
from rl_attn.attention.taps import differentiable_attention

RELUS = {F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}


class guided_relus(TorchFunctionMode):
    """Inside the block, every ReLU that runs is recorded, so that `gradient` can guide it later."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.guiding = False

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function not in RELUS:
            return function(*args, **kwargs)
        self.count += 1
        return _GuidedReLU.apply(args[0] if args else kwargs["input"], self)

    def gradient(self, score: Tensor, pictures: Tensor, *, second_order: bool = True) -> Tensor:
        """The guided gradient of score (B,) by pictures, (B, C, H, W); see `input_gradient`."""
        if not self.count:
            raise ValueError(
                "no ReLU ran inside guided_relus(): guided backpropagation is defined for ReLU "
                "networks alone; take input_gradient or smooth_grad"
            )
        self.guiding = True
        try:
            return input_gradient(score, pictures, second_order=second_order)
        finally:
            self.guiding = False


def guided_backpropagation(
    score_of: ScoreOf, pictures: Tensor, *, second_order: bool = True
) -> Tensor:
    """Guided backpropagation by a forward of its own, (B, C, H, W).

    Args:
        score_of: as in `inputs.py`, e.g. `class_score(model, labels)`.
        pictures: (B, C, H, W).
        second_order: let a loss on the result reach the parameters.

    >>> layers = torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.ReLU()
    >>> score_of = class_score(torch.nn.Sequential(*layers), torch.tensor([2]))
    >>> guided_backpropagation(score_of, torch.rand(1, 1, 2, 2)).shape
    torch.Size([1, 1, 2, 2])
    """
    rows = torch.arange(len(pictures), device=pictures.device)
    leaf = pictures if pictures.requires_grad else pictures.detach().requires_grad_()
    with torch.enable_grad(), guided_relus() as guided, differentiable_attention():
        score = score_of(leaf, rows)
    gradient = guided.gradient(score, leaf, second_order=second_order)
    return gradient if second_order else gradient.detach()


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(context, tensor: Tensor, guide: guided_relus) -> Tensor:
        context.save_for_backward(tensor)
        context.guide = guide
        return tensor.clamp_min(0)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        (tensor,) = context.saved_tensors
        if context.guide.guiding:
            gradient = F.relu(gradient)
        return gradient * (tensor > 0), None
