"""CAMAL: attend to the mask, and nowhere else (Hundal et al. 2026, Eq. 1 and 2).

L = CE + weight * mean(beta - alpha), with alpha and beta the mean Grad-CAM of the true class inside
and outside the mask. AdamW, 500 epochs, batches of 32 (Table 7).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from rl_attn.attention import MaskWeights, alpha_beta, camal_loss, mask_weights
from supervised.batches import Batch
from supervised.methods.base import Method, cross_entropy
from supervised.network import Network


@dataclass
class Camal(Method):
    """Cross-entropy + weight * (beta - alpha)."""

    name: ClassVar[str] = "camal"
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01, "batch_size": 32}
    }

    weight: float = 1.0
    """lambda of the CAMAL loss"""
    empty_mask: Literal["skip", "suppress"] = "skip"
    """pictures whose mask is empty: no CAMAL loss, or suppress all attention"""
    normalization: Literal["max", "minmax"] = "max"
    """how a map is brought to [0, 1]"""
    second_order: bool = True
    """let the loss reach the layers above the feature maps"""

    def target(self, masks: Tensor, grid: tuple[int, int]) -> MaskWeights:
        return mask_weights(masks, grid)

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        output = network(batch.pictures)
        attention = output.grad_cam(
            batch.labels, normalization=self.normalization, second_order=self.second_order
        )
        alpha, beta = alpha_beta(attention, batch.target)
        penalty = camal_loss(alpha, beta, batch.target.present, self.empty_mask)
        task = cross_entropy(output, batch)
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs | {
            "attention/alpha": alpha,
            "attention/beta": beta,
        }
