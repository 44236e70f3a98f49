"""What methods on Grad-CAM share: the map of the true class from the task's own forward.

L = CE + weight * mean(penalty(attention, batch)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import Method, task_loss

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.attention import Attention
    from rl_attn.supervised.batches import Batch
    from rl_attn.supervised.network import Network


@dataclass
class GradCamMethod(Method):
    """Cross-entropy + weight * a penalty on Grad-CAM; a subclass says which."""

    #: Whether negative evidence is cut, and how the map is brought to [0, 1].
    relu: ClassVar[bool] = True
    normalization: ClassVar[str] = "max"

    #: Whether cells are compared with the mask as if they were stretched over it.
    stretched: ClassVar[bool] = False

    weight: NotNegative[float] = 1.0
    """weight of the attention loss"""
    second_order: bool = True
    """let the loss reach the layers above the feature maps"""

    def penalty(self, attention: Attention | Tensor, batch: Batch) -> Tensor:
        """(B,) of attention in [0, 1]; of the bare map (B, h, w) where it is `stretched`."""
        raise NotImplementedError

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        output = network(batch.pictures)
        attention = network.explain(
            output,
            batch.pictures,
            batch.labels,
            normalization=self.normalization,
            relu=self.relu,
            second_order=self.second_order,
        )
        compared = attention.map if self.stretched else attention
        task, penalty = task_loss(output, batch), self.penalty(compared, batch)
        logs = {f"losses/{batch.task.loss_name}": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs


@dataclass
class HalfGradientMethod(GradCamMethod):
    """As much published code has it: no ReLU, min-max, channel weights that are constants, and
    cells that are stretched over the picture."""

    relu: ClassVar[bool] = False
    normalization: ClassVar[str] = "minmax"
    stretched: ClassVar[bool] = True

    second_order: bool = False
    """let the loss reach the layers above the feature maps; the released code does not"""
