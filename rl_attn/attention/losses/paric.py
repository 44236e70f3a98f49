"""PARIC: GALS with an uncertain teacher (Nautiyal et al. 2025).

Probabilistic adapters over CLIP draw K embeddings of image and text, each of which gives a map;
their mean or median is the reference. No code was released: taken here is that the aggregate is
scaled by min-max and supervises the input gradient by `gals_gradient`, as the paper builds on GALS.
"""

from typing import Literal

from torch import Tensor

from rl_attn.attention.maps import normalize

Aggregate = Literal["mean", "median"]


def paric_reference(samples: Tensor, aggregate: Aggregate = "median") -> Tensor:
    """The reference map (B, h, w) in [0, 1] of K maps (B, K, h, w), without a gradient.

    >>> samples = torch.tensor([[[[0.0, 1.0]], [[0.2, 1.0]], [[1.0, 0.0]]]])  # three maps
    >>> paric_reference(samples)
    tensor([[[0., 1.]]])
    """
    if samples.ndim != 4 or samples.shape[1] == 0:
        raise ValueError(f"samples must be (B, K, h, w) with K > 0, got {tuple(samples.shape)}")
    if aggregate == "mean":
        maps = samples.mean(1)
    elif aggregate == "median":
        maps = samples.quantile(0.5, dim=1)  # of an even K: between the middle two
    else:
        raise ValueError(f"unknown aggregate {aggregate!r}: choose mean or median")
    return normalize(maps.detach(), "minmax")
