"""Entropy of the map: a regulariser that wants attention peaked, wherever it is.

The control that a review of CAMAL asks for: does supervision by masks do more than any pressure
on attention would? It takes no mask.
"""

import math

import torch
from torch import Tensor

from rl_attn.attention.losses.fit import FLOOR, as_distribution
from rl_attn.attention.placed import Attention, map_of


def entropy(attention: Attention | Tensor, mask: Tensor | None = None) -> Tensor:
    """Shannon entropy of the sum-normalised map over that of a uniform one, (B,) in [0, 1].

    Args:
        attention: (B, h, w) in [0, 1]; a dead map counts as uniform and gets no gradient.
        mask: ignored, so that this can stand where any other loss stands.

    >>> entropy(torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])).round()
    tensor([0., 1.])
    """
    attention = map_of(attention)
    shares = as_distribution(attention, FLOOR)
    most = math.log(max(attention[0].numel(), 2))
    return torch.special.entr(shares).sum(dim=(1, 2)) / most
