"""Coverage: activation wherever the mask is (CGL, Saran et al. 2021), on the tapped features.

    L = L_PPO + coverage * mean KL(mask || softmax of the mean activation)

over the cells of the feature maps, the mask as a distribution. Cells off the mask cost nothing by
themselves, and a frame without a target costs nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rl_attn.rl.methods import METHODS, Method
from rl_attn.run.settings import NotNegative

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.agents import Network, Output
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log


@METHODS.register("coverage")
@dataclass
class Coverage(Method):
    """Train a PPO agent whose features are active where the targets are (Saran et al. 2021)."""

    coverage: NotNegative[float] = 0.1
    """weight of the divergence between mask and activations"""

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor, Log]:
        from rl_attn.attention import coverage_gaze

        loss = coverage_gaze(output.features.float(), batch.masks[:, -1]).mean()
        return self.coverage * loss, {"losses/coverage": loss}
