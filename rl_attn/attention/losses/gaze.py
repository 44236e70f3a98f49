"""Coverage-based gaze loss: activation wherever somebody looked (Saran et al. 2021).

KL(gaze || softmax of the activation) over the cells of the last convolution, as the released code
has it for behavioural cloning. Cells without gaze cost nothing by themselves.
"""

from torch import Tensor, xlogy

from rl_attn.attention.losses.fit import as_distribution, fit, present
from rl_attn.attention.placed import Attention, map_of


def coverage_gaze(activation: Attention | Tensor, gaze: Tensor) -> Tensor:
    """CGL (Saran et al. 2021, the auxiliary gaze loss), (B,) in nats; 0 without any gaze.

    Args:
        activation: (B, K, h, w) features, averaged over channels here, or a map, placed or bare.
        gaze: (B, H, W), non-negative: a heat map of gaze, or a mask.

    >>> gaze = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    >>> activation = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    >>> coverage_gaze(gaze, gaze) < coverage_gaze(activation, gaze)
    tensor([True])
    """
    gaze, maps = fit(gaze, activation), map_of(activation)
    maps = maps.mean(1) if maps.ndim == 4 else maps
    seen, logs = as_distribution(gaze), maps.flatten(1).log_softmax(1).view_as(maps)
    return (xlogy(seen, seen) - seen * logs).sum(dim=(1, 2)) * present(gaze)
