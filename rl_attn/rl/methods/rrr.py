"""RRR: the value should not depend on pixels outside the mask (Ross et al. 2017).

    L = L_PPO + rrr * mean_b sum (dV/dx (1 - mask))^2

over the pixels of all stacked frames, each with its own mask. Pixels are the raw ones, 0..255, to
which the paper's weight of 1000 belongs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rl_attn.rl.methods import METHODS, Method
from rl_attn.run.settings import NotNegative

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.agents import Network, Output
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log


@METHODS.register("rrr")
@dataclass
class Rrr(Method):
    """Train a PPO agent with small gradients of the value outside the mask (Ross et al. 2017)."""

    uses_value: ClassVar[bool] = True
    last: ClassVar[bool] = True  # the tensor that is differentiated is the one that is seen

    rrr: NotNegative[float] = 1000.0
    """weight of the squared gradients of V by the pixels outside the mask"""

    def shown(self, batch: Batch) -> Tensor:
        """The stacks, of which the value's own forward can be differentiated."""
        return batch.stacks.float().requires_grad_()

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor, Log]:
        from rl_attn.attention import input_gradient, rrr

        frames = batch.masks.shape[1]
        recurrent = output.recall is not None
        value = agent.held(output).value if recurrent else output.value  # of its own frame alone
        gradient = input_gradient(value, batch.shown)  # (B, S*C, H, W)
        each = gradient.unflatten(1, (frames, -1)).flatten(0, 1)  # (B*S, C, H, W)
        loss = rrr(each, batch.masks.flatten(0, 1)).sum() / len(batch.masks)
        return self.rrr * loss, {"losses/rrr": loss}
