"""Coverage-based gaze loss: activation wherever somebody looked (Saran et al. 2021).

KL(gaze || activation) of the last convolution's activation as a distribution. Cells without gaze
cost nothing by themselves. The released code turns activations into a distribution in two ways:

    softmax   over cells, for behavioural cloning
    sum       divided by their sum, for T-REX, which first takes the uniform background 1 / cells
              off the gaze
"""

from typing import Literal

from torch import Tensor, xlogy

from rl_attn.attention.losses.fit import FLOOR, as_distribution, fit, present


def coverage_gaze(
    activation: Tensor, gaze: Tensor, form: Literal["softmax", "sum"] = "softmax"
) -> Tensor:
    """CGL (Saran et al. 2021, the auxiliary gaze loss), (B,) in nats; 0 without any gaze.

    Args:
        activation: (B, K, h, w) features, averaged over channels here, or a map (B, h, w); for
            "sum" non-negative.
        gaze: (B, H, W), non-negative: a heat map of gaze, or a mask.
        form: see above.
    """
    maps = activation.mean(1) if activation.ndim == 4 else activation
    gaze = fit(gaze, maps)
    seen, anything = as_distribution(gaze), present(gaze)
    if form == "softmax":
        logs = maps.flatten(1).log_softmax(1).view_as(maps)
    elif form == "sum":
        above = (seen - 1 / maps[0].numel()).clamp_min(0)
        anything = above.sum(dim=(1, 2)) > 1e-6  # uniform gaze leaves nothing
        seen, logs = as_distribution(above), as_distribution(maps, FLOOR).log()
    else:
        raise ValueError(f"unknown form {form!r}: choose softmax or sum")
    return (xlogy(seen, seen) - seen * logs).sum(dim=(1, 2)) * anything
