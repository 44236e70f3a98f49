"""RES: robust explanation supervision by imperfect annotations (Gao et al. 2022, KDD).

Annotated boundaries are inaccurate, annotated regions incomplete, and labels binary where maps are
continuous. RES therefore (1) compares the map with its labels only through a threshold a, with
some slack, and (2) compares it with an *imputed* map in place of the labels:

    loss = ReLU(mean over labelled cells |tanh(5 (H - a)) - label| - slack) + mean |H - imputed|.

RES-G imputes by a 3x3 Gaussian of the positive labels, RES-L by a learned convolution. As in the
released code, a is found again in each batch, and H is Grad-CAM without ReLU, scaled by min-max.
There the slack is taken off the batch's mean, here off each sample's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.attention.losses.labels import fit_labels
from rl_attn.attention.masks import in_unit
from rl_attn.attention.placed import Attention, map_of

#: The slope of the tanh that stands for the step at the threshold.
_SLOPE = 5.0


def res_g(
    attention: Attention | Tensor,
    labels: Tensor,
    *,
    slack: float = 0.1,
    threshold: float | None = None,
) -> Tensor:
    """RES-G, the loss above with `blurred_imputation` (Gao et al. 2022), (B,); 0 without a label.

    Args:
        attention: (B, h, w) in [0, 1].
        labels: (B, H, W), +1 attend, -1 do not, 0 unlabelled; see `signed_labels`.
        slack: disagreement that costs nothing.
        threshold: a; by default `separating_threshold` of this batch.

    >>> attention = torch.tensor([[[0.9, 0.1], [0.9, 0.1]]])
    >>> labels = torch.tensor([[[1, -1], [1, -1]]])
    >>> res_g(attention, labels) < res_g(1 - attention, labels)
    tensor([True])
    """
    labels, attention = fit_labels(labels, attention), map_of(attention)
    return _res(attention, labels, blurred_imputation(labels), slack, threshold)


def res_l(
    attention: Attention | Tensor,
    labels: Tensor,
    imputation: nn.Module,
    *,
    slack: float = 0.1,
    threshold: float | None = None,
) -> Tensor:
    """RES-L, the loss above with a learned imputation (Gao et al. 2022), (B,); 0 without a label.

    Args:
        attention: (B, h, w) in [0, 1].
        labels: (B, H, W) at the size of the image; the rest as in `res_g`.
        imputation: positive labels (B, H, W) -> (B, h, w), such as `LearnedImputation`; its
            parameters are trained with the network's.

    >>> labels = torch.ones(1, 64, 64)
    >>> res_l(torch.rand(1, 2, 2), labels, LearnedImputation(stride=32)).shape
    torch.Size([1])
    """
    fitted, attention = fit_labels(labels, attention), map_of(attention)
    imputed = imputation(in_unit(labels.to(attention.device), -1).to(attention.dtype).clamp_min(0))
    if imputed.shape != attention.shape:
        raise ValueError(
            f"imputation of labels {tuple(labels.shape)} is {tuple(imputed.shape)}, attention is "
            f"{tuple(attention.shape)}; its stride must be the image's size over the map's"
        )
    return _res(attention, fitted, imputed, slack, threshold)


def _res(
    attention: Tensor, labels: Tensor, imputed: Tensor, slack: float, threshold: float | None
) -> Tensor:
    labelled = (labels != 0).to(attention.dtype)
    a = separating_threshold(attention, labels) if threshold is None else threshold
    wrong = (torch.tanh(_SLOPE * (attention - a)) - labels).abs() * labelled
    disagreement = wrong.sum(dim=(1, 2)) / labelled.sum(dim=(1, 2)).clamp_min(1)
    distance = (attention - imputed).abs().mean(dim=(1, 2))
    return (F.relu(disagreement - slack) + distance) * labelled.amax(dim=(1, 2))


@torch.no_grad()
def separating_threshold(attention: Tensor, labels: Tensor) -> Tensor:
    """The a with the largest balanced share of labels on their side of it in this batch, ().

    Positive cells belong at or above a, negative ones below. Candidates are the positive cells'
    values and, 1e-4 higher, the negative cells'; the first best counts, negatives first. Without
    labels a is 0.

    >>> attention = torch.tensor([[[0.9, 0.2]]])
    >>> separating_threshold(attention, torch.tensor([[[1, -1]]]))
    tensor(0.2001)
    """
    negative, positive = attention[labels < 0].sort()[0], attention[labels > 0].sort()[0]
    candidates = torch.cat([attention[labels < 0] + 1e-4, attention[labels > 0]])
    if len(candidates) == 0:
        return attention.new_zeros(())
    below = torch.searchsorted(negative, candidates) / max(len(negative), 1)
    above = (len(positive) - torch.searchsorted(positive, candidates)) / max(len(positive), 1)
    return candidates[(below + above).argmax()]


def blurred_imputation(labels: Tensor) -> Tensor:
    """RES-G's target (B, h, w): positive labels under a 3x3 Gaussian, over their maximum.

    >>> labels = torch.zeros(1, 5, 5)
    >>> labels[0, 2, 2] = 1
    >>> blurred_imputation(labels)[0, 2]
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    kernel = labels.new_tensor([0.25, 0.5, 0.25])  # OpenCV's 3x3 Gaussian
    kernel = (kernel[:, None] * kernel)[None, None]
    padded = labels.clamp_min(0)[:, None]
    for sides, size in (((1, 1, 0, 0), labels.shape[2]), ((0, 0, 1, 1), labels.shape[1])):
        padded = F.pad(padded, sides, mode="reflect" if size > 1 else "replicate")
    blurred = F.conv2d(padded, kernel)[:, 0]
    return blurred / (blurred.amax(dim=(1, 2), keepdim=True) + 1e-6)


class LearnedImputation(nn.Module):
    """RES-L's imputation: one convolution from the image's size to the map's, min-max scaled.

    Args:
        stride: the image's size over the map's; the kernel is twice as large (64 for 224 to 7).

    >>> LearnedImputation(stride=32)(torch.rand(1, 64, 64)).shape
    torch.Size([1, 2, 2])
    """

    def __init__(self, stride: int = 32):
        super().__init__()
        if stride < 2 or stride % 2:
            raise ValueError(f"stride is {stride}: it must be even")
        self.convolution = nn.Conv2d(1, 1, 2 * stride, stride=stride, padding=stride // 2)

    def forward(self, labels: Tensor) -> Tensor:
        """Positive labels (B, H, W) -> (B, H / stride, W / stride) in [0, 1]."""
        maps = self.convolution(labels[:, None])[:, 0]
        maps = maps - maps.amin(dim=(1, 2), keepdim=True)
        return maps / (maps.amax(dim=(1, 2), keepdim=True) + 1e-6)
