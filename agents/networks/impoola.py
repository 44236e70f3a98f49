"""IMPALA's network whose last maps are averaged over their cells (Impoola; Trumpp et al. 2025).

"Impoola: The Power of Average Pooling for Image-Based Deep Reinforcement Learning". The hidden
layer reads one mean a channel: 8,448 weights at any frame size, where IMPALA's has 524,544 at 64x64
and 2.5 million at 160x120. Any score's gradient is then the same in every cell, so that Grad-CAM,
which averages it, and HiResCAM, which does not, are one map.

Letters: B samples, K feature maps.
"""

from torch import Tensor, nn

from rl_attn.agents.networks import NETWORKS
from rl_attn.agents.networks.impala import Impala


def over_means(layer: nn.Linear, maps: Tensor, shift: bool) -> tuple[Tensor, Tensor | None]:
    """A linear layer (D, K) over the means of maps (B, K, h, w); as `over_cells`."""
    means = maps.mean(dim=(2, 3))  # (B, K)
    if not shift:
        return layer(means), None
    zeros = means.new_zeros(means.shape, requires_grad=True)
    return layer(means + zeros), zeros


@NETWORKS.register("impoola")
class Impoola(Impala):
    """`output = agent(frames)` with uint8 frames (B, S*C, H, W); see `impala.py`."""

    read = staticmethod(over_means)

    def _cells_read(self) -> int:
        return 1
