"""Attention maps from a score and the feature maps behind it.

    attention = grad_cam(score, features)        # (B, h, w) in [0, 1]

Both tensors come from the task's own forward, so no second forward is run and dropout or
stochastic depth explain the network that was actually used. One vector-Jacobian product serves
the whole batch: since sample b's score depends on sample b's features alone, the gradient of the
summed score holds every sample's own gradient (CAMAL, Eq. 4 and Proposition 1). BatchNorm in
training mode between features and score breaks that; `per_sample=True` takes a product a sample.

Letters: B samples, K channels, h x w cells of the feature maps, H x W pixels of the image.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.attention.cells import Cells, interpolation, lines

Normalization = Literal["max", "minmax", "signed", "none"]
Dead = Literal["zero", "signed"]

#: A map whose largest value is below this is called dead: it stays (about) zero. Live maps can be
#: small: a fresh actor's logit gives 1e-9 at 320 x 240.
DEAD = 1e-12


def grad_cam(
    score: Tensor,
    features: Tensor,
    *,
    channels: Literal["mean", "sum"] = "mean",
    normalization: Normalization = "max",
    second_order: bool = True,
    shift: Tensor | None = None,
    relu: bool = True,
    dead: Dead = "zero",
    epsilon: float = 0.0,
    per_sample: bool = False,
) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017) with the mean over channels of CAMAL's Eq. 3.

    G = ReLU(1/K sum_k w_k A^k) with w_k = 1/(hw) sum_ij d score / d A^k_ij.

    Args:
        score: (B,), one scalar a sample: a class logit, a state's value, an action's logit.
        features: (B, K, h, w), of the same forward as `score`.
        channels: "mean" divides by K (CAMAL), "sum" does not (Selvaraju et al.).
        normalization: how the map is brought to [0, 1], see `normalize`.
        second_order: let a loss on the map reach the parameters above `features` through w_k.
            False treats w_k as constants, as much published code does.
        shift: (B, K) zeros that the forward added to every cell of `features`. Its gradient is
            the sum over the cells, and w_k needs only that sum; a network whose next layer is
            linear can carry it past that layer's large product, at a fraction of the cost in both
            orders (see `agents.ActorCritic`). The map is the same.
        relu: cut negative evidence, as the paper does. False with "minmax" is what the code of
            RES, GRADIA and RRR-G trains.
        dead: what a map is whose evidence is negative in every cell, as all may be where values
            are: "zero", which no loss on the map can change any more, or "signed", the evidence
            divided by its largest size, in [-1, 0], through which a loss can bring it to life.
        epsilon: see `normalize`.
        per_sample: see `gradient_of`.

    Returns:
        (B, h, w) float32, in [0, 1] unless `normalization` is "none" or "signed", or a dead map
        signed.

    >>> features = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]], requires_grad=True)
    >>> score = features.sum(dim=(1, 2, 3))
    >>> grad_cam(score, features).detach()
    tensor([[[0.3333, 0.0000],
             [0.0000, 1.0000]]])
    >>> grad_cam(-score, features).sum().item()  # all evidence is negative: a dead map
    0.0
    >>> grad_cam(-score, features, dead="signed").detach()
    tensor([[[-0.3333, -0.0000],
             [-0.0000, -1.0000]]])
    """
    with torch.autocast(score.device.type, enabled=False):  # the map is always float32
        gradient = gradient_of(score, features, second_order, shift, per_sample)
        summed = gradient if shift is not None else gradient.sum(dim=(2, 3))
        weights = summed / (features.shape[2] * features.shape[3])  # (B, K)
        combined = torch.einsum("bk,bkhw->bhw", weights, full(features))
        if channels == "mean":
            combined = combined / features.shape[1]
        maps = finish(combined, normalization, relu, epsilon)
        return with_signed_dead(maps, combined) if dead == "signed" else maps


def with_signed_dead(maps: Tensor, combined: Tensor) -> Tensor:
    """`maps` (B, h, w), but of samples whose evidence `combined` has no positive cell, that
    evidence over its largest size: where the ReLU leaves nothing, its gradient is nothing too."""
    largest = combined.abs().amax(dim=(1, 2), keepdim=True).clamp_min(DEAD)
    is_dead = combined.amax(dim=(1, 2), keepdim=True) <= 0
    return torch.where(is_dead, combined / largest, maps)


def gradient_of(
    score: Tensor,
    features: Tensor,
    second_order: bool,
    shift: Tensor | None = None,
    per_sample: bool = False,
) -> Tensor:
    """d score / d features (B, K, h, w), or by `shift` (B, K), float32; the graph is kept.

    `per_sample` takes d score[b] / d features[b], the right one where layers mix samples, for the
    time and memory of B backward passes; without it the samples' gradients are summed.
    """
    if features.ndim != 4 or score.shape != features.shape[:1]:
        raise ValueError(
            f"a map needs score (B,) and features (B, K, h, w), got {tuple(score.shape)} and "
            f"{tuple(features.shape)}; pick one score a sample, e.g. logits.gather(1, y[:, None])"
            ".squeeze(1)"
        )
    source = features if shift is None else shift
    for name, tensor in (("score has", score), ("features have", source)):
        if not tensor.requires_grad:
            raise RuntimeError(
                f"the {name} no graph: run the forward with gradients enabled, not in no_grad, "
                "inference_mode, a reentrant checkpoint (take use_reentrant=False) or a quantised "
                "model"
            )
    ones = None
    if per_sample:
        ones = torch.eye(len(score), dtype=score.dtype, device=score.device)
    (gradient,) = torch.autograd.grad(
        score if per_sample else score.sum(),
        source,
        ones,
        retain_graph=True,
        create_graph=second_order,
        allow_unused=True,
        is_grads_batched=per_sample,
    )
    if gradient is None:
        raise RuntimeError(
            "the score does not depend on these features: take both from the same forward, in "
            "which nothing between them is detached or quantised"
        )
    if per_sample:  # (B, B, ...): row b is by sample b's score
        gradient = gradient.diagonal().movedim(-1, 0)
    return full(gradient)


def finish(
    combined: Tensor, normalization: Normalization, relu: bool = True, epsilon: float = 0.0
) -> Tensor:
    """Signed evidence (..., h, w) to maps: cut at zero unless `relu` is False, and normalised."""
    if relu:
        return normalize(F.relu(combined), normalization, epsilon)
    if normalization == "max":
        raise ValueError(
            "relu=False leaves negative values: take normalization minmax, signed or none"
        )
    return normalize(combined, normalization, epsilon)


def normalize(maps: Tensor, method: Normalization = "max", epsilon: float = 0.0) -> Tensor:
    """Bring maps (..., h, w) to [0, 1], each by itself; they are not negative unless "signed".

    "max" divides by the map's maximum and keeps its zero; "minmax" subtracts the minimum first,
    which the supervised literature does; "signed" divides by the largest size and keeps the signs,
    in [-1, 1], for scores such as a predicted number, which evidence may lower as well. A map that
    is constant at zero stays zero: its divisor is kept above `DEAD`, so values and gradients are
    finite.

    Finite is not small: a loss on the map has a gradient of one over that divisor, and a map that
    is about to die sends one that can kill all others. `epsilon` is added to the divisor and bounds
    it, in units of the evidence; maps that are far above it are as without.

    >>> maps = torch.tensor([[[1.0, 3.0]]])
    >>> normalize(maps), normalize(maps, "minmax")
    (tensor([[[0.3333, 1.0000]]]), tensor([[[0., 1.]]]))
    >>> normalize(torch.tensor([[[1.0, -4.0]]]), "signed")
    tensor([[[ 0.2500, -1.0000]]])
    """
    if method == "none":
        return maps
    if method == "signed":
        return maps / (maps.abs().amax(dim=(-2, -1), keepdim=True).clamp_min(DEAD) + epsilon)
    if method == "minmax":
        maps = maps - maps.amin(dim=(-2, -1), keepdim=True)
    elif method != "max":
        raise ValueError(f"unknown normalization {method!r}: choose max, minmax, signed or none")
    return maps / (maps.amax(dim=(-2, -1), keepdim=True).clamp_min(DEAD) + epsilon)


def upsample(attention: Tensor, size: tuple[int, int], cells: Cells | None = None) -> Tensor:
    """Bilinear (B, h, w) -> (B, H, W); stays in [0, 1].

    Args:
        size: (H, W) of the picture.
        cells: where the map's cells lie in it, see `cells.py`; None stretches the map over the
            picture, as most code does, pixel centres aligned.

    >>> upsample(torch.tensor([[[0.0, 1.0]]]), (1, 4))
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    if cells is None:
        stretched = F.interpolate(attention[:, None], size, mode="bilinear", align_corners=False)
        return stretched[:, 0]
    rows, columns = (
        interpolation(pixels, number, line, attention.device, attention.dtype)
        for pixels, number, line in zip(size, attention.shape[1:], lines(cells), strict=True)
    )  # (H, h), (W, w)
    return rows @ attention @ columns.T


def full(tensor: Tensor) -> Tensor:
    """Half precisions to float32; float32 and float64 stay as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
