"""GRADIA: L1 between the map and the annotation (Gao et al. 2022, "Aligning Eyes").

As in the released code of RES, which holds it as a baseline: Grad-CAM without ReLU, scaled by
min-max, mean L1 to the positive labels over all cells; weight 1.
"""

from torch import Tensor

from rl_attn.attention.losses.fit import known_mean
from rl_attn.attention.losses.labels import fit_labels
from rl_attn.attention.placed import Attention, map_of


def gradia(attention: Attention | Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
    """GRADIA (Gao et al. 2022): mean |H - max(labels, 0)|, (B,).

    Args:
        attention: (B, h, w) in [0, 1].
        labels: (B, H, W), a mask in [0, 1] or labels in [-1, 1].
        known: (B, H, W) bool; unknown cells are left out of the mean.

    >>> gradia(torch.tensor([[[1.0, 0.5]]]), torch.tensor([[[1, 0]]]))
    tensor([0.2500])
    """
    target = fit_labels(labels, attention).clamp_min(0)
    return known_mean((map_of(attention) - target).abs(), known, attention)
