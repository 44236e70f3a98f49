"""One measurement of attention for everybody: `measure(attention, mask)`.

    iou, iou_ceiling     at 0.7 (CAMAL, Eq. 8), and what the map's grid allows
    energy_inside        share of the attention in the mask
    pointing_game        whether the peak lies in the mask
    alpha, beta          mean attention inside and outside the mask (CAMAL, Eq. 1)
    dead_maps            whether the map is zero everywhere
    present              whether the mask has a pixel on; without one the others say nothing

Letters: B samples, H x W pixels.
"""

import torch
from torch import Tensor

from rl_attn.attention.cells import size_of
from rl_attn.attention.losses.camal import alpha_beta
from rl_attn.attention.masks import in_unit, mask_weights
from rl_attn.attention.metrics import energy_inside, iou, iou_ceiling, of_attention, pointing_game
from rl_attn.attention.placed import Attention


@torch.no_grad()
def measure(attention: Attention, mask: Tensor, known: Tensor | None = None) -> dict[str, Tensor]:
    """Each sample's values, (B,) float32 each, `present` bool.

    Args:
        attention: maps in [0, 1]; one with a cell that is negative or not finite is NaN in all.
        mask: (B, H, W) of the picture that the maps explain, see `in_unit`.
        known: (B, H, W) bool, False where nobody said whether a pixel matters: attention there
            counts neither way. None: all are known.

    >>> import torch
    >>> half = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    >>> measure(Attention(half, (0.0, 1.0)), half)["iou"]
    tensor([1.])
    """
    mask = in_unit(mask)
    size = size_of(mask)
    full = attention.upsample(size)  # (B, H, W)
    weights = mask_weights(mask, size, known=known)
    alpha, beta = alpha_beta(full, weights)
    dead = (full.amax(dim=(1, 2)) == 0).float()
    if known is not None:
        full, mask = full * known, mask * known
    values = {
        "iou": iou(full, mask),
        "iou_ceiling": iou_ceiling(mask, attention.grid, cells=attention.cells),
        "energy_inside": energy_inside(full, mask),
        "pointing_game": pointing_game(full, mask),
        "alpha": alpha,
        "beta": beta,
        "dead_maps": dead,
    }
    values = {name: of_attention(value, attention.map) for name, value in values.items()}
    return values | {"present": weights.present}
