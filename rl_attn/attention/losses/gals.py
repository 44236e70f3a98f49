"""GALS: attention from language, in three places of a classifier (Petryk et al. 2022).

With A in [0, 1] the averaged CLIP map of the prompts:

    on input gradients     mean |g (1 - A)|, their main one; or |A (g - 1)| inside
    on Grad-CAM            mean |G - A|, or |G (1 - A)|
    on an attention branch the same two of the branch's map (ABN, Fukui et al. 2019)

Images whose A is zero everywhere are dropped there, and get 0 here. The weight of their code,
10,000 on Waterbirds, belongs to the gradient of the batch's *mean* cross-entropy, which is 1/B of
the per-sample gradient that is taken here.
"""

from typing import Literal

from torch import Tensor

from rl_attn.attention.losses.fit import fit, present
from rl_attn.attention.placed import Attention, map_of


def gals_gradient(
    gradient: Tensor, mask: Tensor, where: Literal["outside", "inside"] = "outside"
) -> Tensor:
    """GALS on input gradients (Petryk et al. 2022): mean |g (1 - A)| or |A (g - 1)|, (B,).

    Args:
        gradient: (B, C, H, W) of each sample's cross-entropy by the input.
        mask: (B, H, W) in [0, 1], where gradients are free.
        where: "outside" suppresses |g| off the mask; "inside" drives g to 1 on it.

    >>> gradient = torch.full((1, 1, 2, 2), 2.0)
    >>> gals_gradient(gradient, torch.tensor([[[1, 0], [0, 0]]]))
    tensor([1.5000])
    """
    mask = fit(mask, gradient)
    weight = mask[:, None]
    if where == "outside":
        off = (gradient * (1 - weight)).abs()
    elif where == "inside":
        off = ((gradient - 1) * weight).abs()
    else:
        raise ValueError(f"unknown place {where!r}: choose outside or inside")
    return off.flatten(1).mean(1) * present(mask)


def gals_attention(
    attention: Attention | Tensor, mask: Tensor, mode: Literal["match", "outside"] = "match"
) -> Tensor:
    """GALS on Grad-CAM or an attention branch (Petryk et al. 2022): mean |G - A|, (B,).

    Args:
        attention: (B, h, w) in [0, 1].
        mask: (B, H, W) in [0, 1].
        mode: "match" is L1 to the mask; "outside" suppresses attention off it, |G (1 - A)|.

    >>> attention = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    >>> mask = torch.tensor([[[1, 0], [0, 0]]])
    >>> gals_attention(attention, mask), gals_attention(attention, mask, "outside")
    (tensor([0.1250]), tensor([0.1250]))
    """
    mask, attention = fit(mask, attention), map_of(attention)
    if mode == "match":
        off = (attention - mask).abs()
    elif mode == "outside":
        off = (attention * (1 - mask)).abs()
    else:
        raise ValueError(f"unknown mode {mode!r}: choose match or outside")
    return off.mean(dim=(1, 2)) * present(mask)
