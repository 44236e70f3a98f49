"""HAICS: cross-entropy on scribbled cells (Shen et al. 2021).

    intended   binary cross-entropy over the labelled cells
    released   binary cross-entropy over *all* cells, times the labelled share of them

The second is what the code of RES runs under this name: its mean is taken before the labelled
cells are picked, so unlabelled cells are pushed to 0 as well. There the mean and the share are
over the batch, here over each sample.
"""

from typing import Literal

from torch import Tensor

from rl_attn.attention.losses.labels import fit_labels
from rl_attn.attention.placed import Attention, map_of

#: Maps normalised by min-max hold exact 0 and 1; kept this far away, the loss stays below 9.3.
_MARGIN = 1e-4


def haics(
    attention: Attention | Tensor,
    labels: Tensor,
    form: Literal["intended", "released"] = "intended",
) -> Tensor:
    """HAICS's cross-entropy on labelled cells (Shen et al. 2021), (B,); 0 without a label.

    Args:
        attention: (B, h, w) in [0, 1].
        labels: (B, H, W), +1 attend, -1 do not, 0 unlabelled; see `signed_labels`.
        form: see above.

    >>> attention = torch.tensor([[[0.5, 0.9]]])
    >>> haics(attention, torch.tensor([[[1, 0]]]))  # ln 2; the second cell is not labelled
    tensor([0.6931])
    """
    labels, attention = fit_labels(labels, attention), map_of(attention)
    labelled = (labels != 0).to(attention.dtype)
    target = labels.clamp_min(0)
    inside = _MARGIN + (1 - 2 * _MARGIN) * attention
    error = -(target * inside.log() + (1 - target) * (1 - inside).log())  # (B, h, w)
    if form == "intended":
        return (error * labelled).sum(dim=(1, 2)) / labelled.sum(dim=(1, 2)).clamp_min(1)
    if form == "released":
        return error.mean(dim=(1, 2)) * labelled.mean(dim=(1, 2))
    raise ValueError(f"unknown form {form!r}: choose intended or released")
