"""Labels of cells: +1 attend, -1 do not, 0 unlabelled (scribbles, HAICS and RES).

A mask of zeros and ones is therefore positive labels only. `signed_labels` says that the mask is
complete, so that what is off is labelled -1, except where it says that nothing is known.
"""

from torch import Tensor

from rl_attn.attention.losses.fit import fit
from rl_attn.attention.masks import in_unit
from rl_attn.attention.placed import Attention


def signed_labels(mask: Tensor, known: Tensor | None = None) -> Tensor:
    """(B, H, W): +1 where the mask is above one half, else -1; 0 where `known` is False.

    >>> mask = torch.tensor([[[1.0, 0.0, 0.0]]])
    >>> signed_labels(mask, known=torch.tensor([[[True, True, False]]])).int()
    tensor([[[ 1, -1,  0]]], dtype=torch.int32)
    """
    labels = (in_unit(mask, least=-1) > 0.5).float() * 2 - 1
    return labels if known is None else labels * known


def fit_labels(labels: Tensor, attention: Attention | Tensor) -> Tensor:
    """Labels (B, h, w) at the attention's grid by the nearest pixel, so that none is invented."""
    return fit(labels, attention, "nearest", least=-1)
