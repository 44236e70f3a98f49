"""RRR on colour: gradients that are small in a wrong direction, not at wrong pixels; ours.

L = CE + weight * sum over pixels of |g - mean of g over the channels|^2, with g the gradient of
RRR's score (Ross et al. 2017) by pictures in [0, 1].

On ColorMNIST the shortcut is the digit's own colour: it lies on the very pixels that matter, so
that no mask of pixels can exclude it. This says what to ignore, as Concept Distillation's
colour concept does (Gupta et al. 2023), without a teacher, and needs no masks. Brightness stays
allowed, and where it tells the class, a shortcut. The recipe for `color-mnist` is CDEP's network
and its one epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.errors import UserError
from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import task_loss
from rl_attn.supervised.methods.input_gradient import InputGradientMethod, Unit

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch, Batches
    from rl_attn.supervised.network import Network


@dataclass
class RrrColour(InputGradientMethod):
    """Cross-entropy + weight * squared input gradients along changes of colour."""

    name: ClassVar[str] = "rrr-colour"
    needs_masks: ClassVar[bool] = False
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": {"optimizer": "adam", "learning_rate": 1e-3},
        "color-mnist": {
            "backbone": "color-cnn",
            "weight_decay": 1e-3,
            "batch_size": 256,
            "epochs": 1,
        },
    }

    weight: NotNegative[float] = 1.0
    """weight of the squared gradients"""
    unit: Unit = "unit"

    def prepare(self, network: Network, train: Batches) -> None:
        if train.split.images.shape[1] == 1:
            raise UserError("--method rrr-colour needs pictures in colour, and these are grey")
        super().prepare(network, train)

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        from rl_attn.attention import rrr_colour, rrr_score

        output = network.by_input(batch.pictures)
        penalty = rrr_colour(self.gradient(rrr_score(output.logits), batch.pictures))
        task = task_loss(output, batch)
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs
