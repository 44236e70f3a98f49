"""RRR-G: RRR on Grad-CAM instead of the input gradient (Schramowski et al. 2020).

As the XIL typology runs it (Friedrich et al. 2023): the map of the *predicted* class without ReLU,
scaled by min-max, with constant channel weights and stretched over the picture; its squares off the
mask are summed over the batch and weighted by 1 on DecoyMNIST, 10 on its Fashion-MNIST. Data:
`--data-options variant=rrr mask=not-patch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import Method, batch_size, task_loss
from rl_attn.supervised.methods.hint import XIL_RECIPE

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch
    from rl_attn.supervised.network import Network


@dataclass
class RrrGradCam(Method):
    """Cross-entropy + weight * squared Grad-CAM of the predicted class off the mask."""

    name: ClassVar[str] = "rrr-grad-cam"
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")
    recipes: ClassVar[dict[str, dict[str, Any]]] = {"": XIL_RECIPE}

    weight: NotNegative[float] = 1.0
    """weight of the squared map, summed over the batch"""
    second_order: bool = False
    """let the loss reach the layers above the feature maps; the released code does not"""

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        from rl_attn.attention import rrr

        output = network(batch.pictures)
        predicted = output.logits.argmax(1)
        attention = output.grad_cam(
            predicted, normalization="minmax", relu=False, second_order=self.second_order
        )
        penalty = batch_size(network, batch) * rrr(attention.map, batch.allowed)
        task = task_loss(output, batch)
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs
