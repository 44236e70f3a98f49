"""The relatives of Grad-CAM: how a channel, or each of its cells, is weighed.

With A (B, K, h, w) the features and g = d score / d A, each map is ReLU(sum_k W_k * A_k), where

    cam                 W_k = the linear head's weight from channel k to the class
    grad_cam            W_k = mean over cells of g_k                    (in `maps.py`)
    grad_cam_plus_plus  W_k = sum over cells of alpha * ReLU(g_k)
    layer_cam           W_k = ReLU(g_k), cell by cell
    hires_cam           W_k = g_k, cell by cell

They take the tensors of the task's own forward and return (B, h, w) float32 (`cam` without labels
(B, classes, h, w)), in [0, 1] unless `normalization` is "none". `second_order=False` treats the
weights W as constants, so a loss on the map reaches no parameter above the features; `per_sample`
is `gradient_of`'s. Letters as in `maps.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.attention.maps import Normalization, finish, full, gradient_of


def cam(
    features: Tensor,
    weight: Tensor,
    labels: Tensor | None,
    *,
    normalization: Normalization = "max",
    second_order: bool = True,
    relu: bool = True,
    epsilon: float = 0.0,
) -> Tensor:
    """CAM (Zhou et al. 2016, Eq. 2): ReLU(sum_k weight[y, k] A_k), without the bias.

    Args:
        features: (B, K, h, w), which the network averages over cells before its linear head.
        weight: (classes, K), the head's weight matrix.
        labels: (B,) int64, the class each map explains; None: every class, (B, classes, h, w).
        relu: cut negative evidence; Zhou et al. do not, Learning to Look does.
        epsilon: see `normalize`.

    >>> features = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])  # (1, 2, 1, 2)
    >>> weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> cam(features, weight, labels=torch.tensor([1]))
    tensor([[[0., 1.]]])
    """
    if features.ndim != 4 or weight.ndim != 2 or weight.shape[1] != features.shape[1]:
        raise ValueError(
            f"cam needs features (B, K, h, w) and weight (classes, K), got "
            f"{tuple(features.shape)} and {tuple(weight.shape)}; where the head is not one linear "
            "layer on averaged features, take grad_cam"
        )
    if labels is not None and labels.shape != features.shape[:1]:
        raise ValueError(f"cam needs labels (B,), got {tuple(labels.shape)}")
    with torch.autocast(features.device.type, enabled=False):
        weight = full(weight if second_order else weight.detach())
        if labels is None:
            combined = torch.einsum("ck,bkhw->bchw", weight, full(features))
        else:
            combined = torch.einsum("bk,bkhw->bhw", weight[labels], full(features))
        return finish(combined, normalization, relu, epsilon)


def grad_cam_plus_plus(
    score: Tensor,
    features: Tensor,
    *,
    normalization: Normalization = "max",
    second_order: bool = True,
    per_sample: bool = False,
) -> Tensor:
    """Grad-CAM++ (Chattopadhay et al. 2018; alpha is its Eq. 19).

    alpha = g^2 / (2 g^2 + g^3 sum_ab A_ab), cancelled here to 1 / (2 + g sum_ab A_ab), which
    needs no epsilon. The paper explains exp(score); its gradient is exp(score) g, a factor a
    sample that no normalised map keeps and that is left out with "none" too.

    Args:
        score: (B,).
        features: (B, K, h, w), non-negative (after a ReLU), as the paper assumes. Negative sums
            can bring the denominator to 0; it is kept above 1e-6.

    >>> features = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]], requires_grad=True)
    >>> grad_cam_plus_plus(features.sum(dim=(1, 2, 3)), features).detach()
    tensor([[[0.3333, 0.0000],
             [0.0000, 1.0000]]])
    """
    with torch.autocast(score.device.type, enabled=False):
        gradient = gradient_of(score, features, second_order, per_sample=per_sample)
        positive = F.relu(gradient)  # (B, K, h, w)
        maps = full(features)
        denominator = 2 + positive * maps.sum(dim=(2, 3), keepdim=True)
        weights = (positive / denominator.clamp_min(1e-6)).sum(dim=(2, 3))  # (B, K)
        return finish(torch.einsum("bk,bkhw->bhw", weights, maps), normalization)


def layer_cam(
    score: Tensor,
    features: Tensor,
    *,
    normalization: Normalization = "max",
    second_order: bool = True,
    per_sample: bool = False,
) -> Tensor:
    """LayerCAM (Jiang et al. 2021): ReLU(sum_k ReLU(g_k) * A_k), for any layer.

    Args:
        score: (B,).
        features: (B, K, h, w).

    >>> features = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]], requires_grad=True)
    >>> layer_cam(features.sum(dim=(1, 2, 3)), features).detach()
    tensor([[[0.3333, 0.0000],
             [0.0000, 1.0000]]])
    """
    with torch.autocast(score.device.type, enabled=False):
        gradient = gradient_of(score, features, second_order, per_sample=per_sample)
        positive = F.relu(gradient)  # (B, K, h, w)
        return finish((positive * full(features)).sum(1), normalization)


def hires_cam(
    score: Tensor,
    features: Tensor,
    *,
    normalization: Normalization = "max",
    second_order: bool = True,
    relu: bool = True,
    per_sample: bool = False,
) -> Tensor:
    """HiResCAM (Draelos and Carin 2020): ReLU(sum_k g_k * A_k).

    Without ReLU and normalisation its cells sum to the score exactly, less the bias, wherever the
    network above is piecewise linear without further biases.

    Args:
        score: (B,).
        features: (B, K, h, w).

    >>> features = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]], requires_grad=True)
    >>> hires_cam(features.sum(dim=(1, 2, 3)), features).detach()
    tensor([[[0.3333, 0.0000],
             [0.0000, 1.0000]]])
    """
    with torch.autocast(score.device.type, enabled=False):
        gradient = gradient_of(score, features, second_order, per_sample=per_sample)  # (B, K, h, w)
        return finish((gradient * full(features)).sum(1), normalization, relu)
