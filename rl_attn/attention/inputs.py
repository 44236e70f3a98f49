"""Attributions at the input: what each pixel of the picture does to the score.

    logits = model(x.requires_grad_())
    gradient = input_gradient(logits.gather(1, y[:, None])[:, 0], x)      # (B, C, H, W), signed
    attention = as_map(gradient)                                          # (B, H, W) in [0, 1]

They take the tensors of the task's own forward; those of `paths.py`, `guided.py` and `rise.py`
run forwards of their own, of a `ScoreOf`. `second_order=True` lets a loss on an attribution reach
the parameters; fused attention has no second derivative, so run a transformer's forward inside
`differentiable_attention()`. Letters: B samples, C channels, H x W pixels, N pictures.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from rl_attn.attention.maps import Normalization, full, normalize

#: A score as methods with forwards of their own take it: pictures (N, C, H, W), rows (N,) -> (N,);
#: rows says which sample of the batch each picture is a variant of.
ScoreOf = Callable[[Tensor, Tensor], Tensor]


def class_score(model: Callable[[Tensor], Tensor], labels: Tensor) -> ScoreOf:
    """The logit of each sample's label (B,), as the methods with own forwards take it.

    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    >>> score_of = class_score(model, torch.tensor([2]))
    >>> score_of(torch.rand(1, 1, 2, 2), torch.tensor([0])).shape
    torch.Size([1])
    """
    return lambda pictures, rows: model(pictures).gather(1, labels[rows][:, None])[:, 0]


def as_map(
    attribution: Tensor,
    channels: Literal["abs", "sum", "positive", "max"] = "abs",
    normalization: Normalization = "max",
) -> Tensor:
    """Signed attributions (B, C, H, W) to maps (B, H, W), in [0, 1] unless "none".

    Args:
        channels: "abs" sums magnitudes, "sum" takes the magnitude of the sum, "positive" the sum
            where it speaks for the score, "max" the largest magnitude (Simonyan et al. 2014).

    >>> as_map(torch.tensor([[[[-2.0, 1.0]]]]))
    tensor([[[1.0000, 0.5000]]])
    >>> as_map(torch.tensor([[[[-2.0, 1.0]]]]), "positive")
    tensor([[[0., 1.]]])
    """
    if attribution.ndim != 4:
        raise ValueError(f"as_map needs (B, C, H, W), got {tuple(attribution.shape)}")
    attribution = full(attribution)
    if channels == "abs":
        return normalize(attribution.abs().sum(1), normalization)
    if channels == "sum":
        return normalize(attribution.sum(1).abs(), normalization)
    if channels == "positive":
        return normalize(attribution.sum(1).relu(), normalization)
    if channels == "max":
        return normalize(attribution.abs().amax(1), normalization)
    raise ValueError(f"unknown channels {channels!r}: choose abs, sum, positive or max")


def input_gradient(score: Tensor, pictures: Tensor, *, second_order: bool = True) -> Tensor:
    """d score / d picture (B, C, H, W) (Simonyan et al. 2014; what RRR, Ross et al. 2017, trains).

    Args:
        score: (B,), e.g. `logits.log_softmax(1).sum(1)` for RRR's Eq. 1.
        pictures: (B, C, H, W) that `score` was computed from, with requires_grad set before.

    >>> pictures = torch.ones(1, 1, 1, 2, requires_grad=True)
    >>> score = (pictures * torch.tensor([1.0, 3.0])).sum(dim=(1, 2, 3))
    >>> input_gradient(score, pictures)
    tensor([[[[1., 3.]]]])
    """
    if score.shape != pictures.shape[:1]:
        raise ValueError(
            f"input_gradient needs score (B,) and pictures (B, C, H, W), got "
            f"{tuple(score.shape)} and {tuple(pictures.shape)}"
        )
    if not pictures.requires_grad:
        raise ValueError("call pictures.requires_grad_() before the forward that made the score")
    with torch.enable_grad():
        total = score.sum()
    (gradient,) = torch.autograd.grad(total, pictures, create_graph=second_order, retain_graph=True)
    return gradient


def input_x_gradient(score: Tensor, pictures: Tensor, *, second_order: bool = True) -> Tensor:
    """Picture times d score / d picture (Shrikumar et al. 2016), (B, C, H, W).

    >>> pictures = torch.full((1, 1, 1, 2), 2.0, requires_grad=True)
    >>> score = (pictures * torch.tensor([1.0, 3.0])).sum(dim=(1, 2, 3))
    >>> input_x_gradient(score, pictures).detach()
    tensor([[[[2., 6.]]]])
    """
    return pictures * input_gradient(score, pictures, second_order=second_order)
