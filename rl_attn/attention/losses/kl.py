"""KL alignment: the map as a distribution, and the mask as another (Yang et al. 2026).

The paper prints one divergence and its code runs another:

    printed   Eq. 2   KL(map || mask), both divided by their sums
    released          KL(mask || map), the mask divided by its sum, the map by a softmax over cells
    reverse           KL(map || mask) of the same two: what its later code selects epochs by

The released loss cannot reach zero: a softmax of values in [0, 1] stays within a factor e of
uniform, so a map that equals a mask with k of n cells on still has ln(1 + (n - k) / (k e)). The
printed one is infinite wherever the map is on and the mask is off, without a floor.
"""

from typing import Literal

from torch import Tensor, xlogy

from rl_attn.attention.losses.fit import FLOOR, as_distribution, fit, present
from rl_attn.attention.placed import Attention, map_of

Form = Literal["released", "printed", "reverse"]


def kl_alignment(attention: Attention | Tensor, mask: Tensor, form: Form = "released") -> Tensor:
    """Learning to Look's attention loss (Yang et al. 2026, Eq. 2), (B,) in nats.

    Args:
        attention: (B, h, w) in [0, 1].
        mask: (B, H, W) in [0, 1]; an empty one is no distribution and gives no loss.
        form: see above. "printed" adds a floor of 1e-8 to every cell of both distributions,
            "reverse" to those of the mask.

    >>> mask = torch.tensor([[[1, 0], [0, 0]]])
    >>> right, wrong = mask.float(), 1 - mask.float()
    >>> kl_alignment(right, mask) < kl_alignment(wrong, mask)
    tensor([True])
    """
    mask, attention = fit(mask, attention), map_of(attention)
    if form == "printed":
        source, target = as_distribution(attention, FLOOR), as_distribution(mask, FLOOR)
        divergence = source * (source / target).log()
    elif form == "released":
        shares = as_distribution(mask)
        divergence = xlogy(shares, shares) - shares * _log_softmax(attention)
    elif form == "reverse":
        source = _log_softmax(attention)
        divergence = source.exp() * (source - as_distribution(mask, FLOOR).log())
    else:
        raise ValueError(f"unknown form {form!r}: choose released, printed or reverse")
    return divergence.sum(dim=(1, 2)) * present(mask)


def _log_softmax(maps: Tensor) -> Tensor:
    return maps.flatten(1).log_softmax(1).view_as(maps)
