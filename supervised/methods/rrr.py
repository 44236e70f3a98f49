"""RRR: right for the right reasons, small input gradients off the mask (Ross et al. 2017).

L = CE + weight * sum (d sum_c log p_c / dx)^2 over the pixels off the mask. Adam with 1e-3, batches
of 256, 64 epochs, and 1e-4 of the squared parameters in a loss that is summed over the batch. The
weight of 1000 belongs to gradients by raw pixels, 0..255, whatever the network's normalisation
(`--unit`), and to the network of their notebook:

    --data decoy-mnist --data-options variant=rrr mask=not-patch --backbone rrr-mlp

The XIL typology takes 10 for `decoy-cnn`, by its input (`--unit input`). CDEP's authors (Rieger et
al. 2020) run RRR for their tables in another way, `--score cross-entropy --alternate`: they
penalise the gradient of the batch's mean cross-entropy, and let the optimiser step on the penalty
alone before it steps on both. Their weight is B times that of here for batches of B, since the mean
divides each gradient by B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import task_loss
from rl_attn.supervised.methods.input_gradient import InputGradientMethod

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch
    from rl_attn.supervised.network import Network


@dataclass
class Rrr(InputGradientMethod):
    """Cross-entropy + weight * squared input gradients off the mask."""

    name: ClassVar[str] = "rrr"
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": {
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "weight_decay": 2e-4 / 256,  # the gradient of 1e-4 ||parameters||^2 / batch size
            "batch_size": 256,
            "epochs": 64,
        }
    }

    weight: NotNegative[float] = 1000.0
    """weight of the squared gradients"""
    score: Literal["log-probabilities", "cross-entropy"] = "log-probabilities"
    """whose gradient is penalised: the sum of all classes' log-probabilities, or the loss"""
    alternate: bool = False
    """step on the penalty alone before each step on both"""

    def ahead(
        self, network: Network, batch: Batch, epoch: int
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        if not self.alternate:
            return None
        _, penalty = self._penalised(network, batch)
        return self.weight * penalty, {"attention/loss": penalty}

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        if self.alternate and network.model.training:  # `ahead` has seen to the penalty
            task = task_loss(network.plain(batch.pictures), batch)
            return task, {"losses/cross_entropy": task}
        task, penalty = self._penalised(network, batch)
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs

    def _penalised(self, network: Network, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy and penalty, (B,) each."""
        from rl_attn.attention import rrr, rrr_score

        output = network.by_input(batch.pictures)
        task = task_loss(output, batch)
        score = task if self.score == "cross-entropy" else rrr_score(output.logits)
        return task, rrr(self.gradient(score, batch.pictures), batch.allowed)
