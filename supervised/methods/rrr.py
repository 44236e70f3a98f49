"""RRR: right for the right reasons, small input gradients off the mask (Ross et al. 2017).

L = CE + weight * sum (d sum_c log p_c / dx)^2 over the pixels off the mask. Adam with 1e-3, batches
of 256, 64 epochs, and 1e-4 of the squared parameters in a loss that is summed over the batch. The
weight of 1000 belongs to raw pixels and the network of their notebook:

    --data decoy-mnist --data-options variant=rrr mask=not-patch --backbone rrr-mlp

The XIL typology takes 10 for `decoy-cnn`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from rl_attn.attention import input_gradient, rrr, rrr_score
from supervised.batches import Batch
from supervised.methods.base import Method, cross_entropy
from supervised.network import Network


@dataclass
class Rrr(Method):
    """Cross-entropy + weight * squared input gradients off the mask."""

    name: ClassVar[str] = "rrr"
    needs_features: ClassVar[bool] = False
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": {
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "weight_decay": 2e-4 / 256,  # the gradient of 1e-4 ||parameters||^2 / batch size
            "batch_size": 256,
            "epochs": 64,
        }
    }

    weight: float = 1000.0
    """of the squared gradients"""

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        output = network.by_input(batch.pictures)
        penalty = rrr(input_gradient(rrr_score(output.logits), batch.pictures), batch.masks)
        task = cross_entropy(output, batch)
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs
