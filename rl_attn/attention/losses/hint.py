"""HINT: attend where a human would (Selvaraju et al. 2019), as the XIL typology runs it.

The paper ranks region proposals by importance; the typology (Friedrich et al. 2023), where HINT is
a baseline for classifiers, replaces the ranking by a squared distance between the Grad-CAM of the
true class and the map of what to reward. That simplified form is the one here; their weight is 100
on DecoyMNIST.
"""

from torch import Tensor

from rl_attn.attention.losses.fit import fit, known_mean
from rl_attn.attention.placed import Attention, map_of


def hint(attention: Attention | Tensor, mask: Tensor, known: Tensor | None = None) -> Tensor:
    """HINT as a squared distance (Selvaraju et al. 2019): mean (H - mask)^2, (B,).

    Args:
        attention: (B, h, w) in [0, 1].
        mask: (B, H, W) in [0, 1], what is rewarded.
        known: (B, H, W) bool; unknown cells are left out of the mean.

    >>> hint(torch.tensor([[[1.0, 0.5]]]), torch.tensor([[[1, 0]]]))
    tensor([0.1250])
    """
    error = (map_of(attention) - fit(mask, attention)).square()
    return known_mean(error, known, attention)
