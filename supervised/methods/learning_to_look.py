"""Learning to Look: attention first, then the task with attention (Yang et al. 2026).

Phase 1 trains the attention loss alone. At epoch E_attn optimiser and schedule begin again, and

    L = CE + lambda * L_attn,  lambda = weight * (1 + 0.1 (epoch - E_attn)).

L_attn compares the class activation map with the mask as distributions (`kl_alignment`): as the
authors' code has it, or as the paper prints it. The network that is kept is the one of phase 2 with
the best of `--selection` on validation:

    optim-value   accuracy * (1 - L_attn), the paper's; where L_attn is above 1 it prefers *low*
                  accuracy (DecoyMNIST, masks of ink, seed 2: 68 % of the test right, by an epoch of
                  68 % validation accuracy of which the last had 95 %)
    reverse-kl    accuracy * exp(-KL(map || mask)), of the map's softmax: a later version of their
                  code, with its beta of 1
    exponential   accuracy * exp(-L_attn), whose first order is the paper's; from no paper

Masks are the ring round the digit that the ColorMNIST code makes, the object itself, or the object
a pixel wider, as a teacher's masks are; the paper's own come from WeCLIP+. LeNet at 32x32, SGD with
momentum 0.98, weight decay 1e-4, batches of 32, 30 epochs, a tenth of the learning rate every 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rl_attn.errors import UserError
from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import Method, task_loss

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.attention import Attention
    from rl_attn.supervised.batches import Batch
    from rl_attn.supervised.network import Network, Output


Selection = Literal["optim-value", "reverse-kl", "exponential"]

#: What is the same for all data sets.
RECIPE: dict[str, Any] = {
    "backbone": "lenet",
    "size": 32,
    "optimizer": "sgd",
    "momentum": 0.98,
    "learning_rate": 1e-2,
    "weight_decay": 1e-4,
    "batch_size": 32,
    "epochs": 30,
    "schedule": "step",
}


@dataclass
class TwoPhases(Method):
    """Attention alone, then cross-entropy + lambda * attention."""

    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")

    weight: NotNegative[float] = 8.0
    """lambda at the beginning of phase 2"""
    attention_epochs: int = 13
    """E_attn: epochs of phase 1"""
    selection: Selection = "optim-value"
    """what an epoch is kept by: the paper's accuracy * (1 - L_attn); of learning-to-look also its
    authors' later accuracy * exp(-KL(map || mask)); or accuracy * exp(-L_attn), of no paper"""

    def check(self, settings: Any) -> None:
        if not 0 <= self.attention_epochs < settings.epochs:
            raise UserError(
                f"--attention-epochs {self.attention_epochs} of --epochs {settings.epochs} leaves "
                "no epoch to the classifier: choose from 0 to one less than --epochs"
            )

    def divergence(self, output: Output, batch: Batch) -> Tensor:
        """L_attn, (B,)."""
        raise NotImplementedError

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        output = network(batch.pictures)
        penalty = self.divergence(output, batch)
        task = task_loss(output, batch)
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        if epoch < self.attention_epochs:
            return penalty, logs
        return task + self.ramp(epoch) * penalty, logs

    def ramp(self, epoch: int) -> float:
        return self.weight * (1 + 0.1 * (epoch - self.attention_epochs))

    def restarts(self, epoch: int) -> bool:
        return epoch == self.attention_epochs

    def validation_score(self, epoch: int, validation: dict[str, float]) -> float | None:
        """Of phase 2 alone."""
        if epoch < self.attention_epochs:
            return None
        divergence = validation["attention/loss"]
        if self.selection == "optim-value":
            return validation["accuracy"] * (1 - divergence)
        if self.selection == "reverse-kl":
            divergence = validation["attention/reverse_kl"]
        return validation["accuracy"] * math.exp(-divergence)


@dataclass
class LearningToLook(TwoPhases):
    """Two phases: attention alone, then cross-entropy + lambda * attention."""

    name: ClassVar[str] = "learning-to-look"
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": RECIPE,
        "color-mnist": {
            "learning_rate": 1e-3,
            "weight": 160.0,
            "attention_epochs": 11,
            "region": "ring",
            "harden": True,
        },
        "decoy-mnist": {"harden": True},
    }

    formula: Literal["released", "printed"] = "released"
    """KL(mask || softmax of the map), as the authors' code; or KL(map || mask), as the paper"""
    region: Literal["object", "wide", "ring"] = "object"
    """what the map is compared with: the mask, the mask a pixel wider, or a ring round it"""
    harden: bool = False
    """every pixel of a mask above zero becomes one, as in the authors' code for masks of ink;
    without it a teacher's soft masks stay soft"""
    epsilon: float = 1e-8
    """added to the largest evidence of a map, by which the map is divided; 0.1 keeps maps alive"""

    def check(self, settings: Any) -> None:
        super().check(settings)
        if self.epsilon < 0:
            raise UserError(f"--epsilon must be 0 or more, got {self.epsilon:g}")

    def annotations(self, masks: Tensor, seed: int) -> Tensor:
        import torch

        from rl_attn.attention import dilate, edge_band

        if self.harden:
            masks = (masks > 0).to(torch.uint8) * 255
        if self.region == "object":
            return masks
        make = dilate if self.region == "wide" else edge_band
        how = {"radius": 1} if self.region == "wide" else {"cover": 3, "edge": 1}
        parts = [make(part.float() / 255, **how) for part in masks.split(4096)]
        return (torch.cat(parts) * 255).round().to(torch.uint8)

    def target(self, masks: Tensor, grid: tuple[int, int], *_: object) -> Tensor:
        """The mask at the map's cells, as if they were stretched over the picture; hardened as
        coded: what is on in it at all is on, and each cell takes its nearest pixel."""
        from rl_attn.attention import resize_mask

        if self.harden:
            return resize_mask((masks * 8).clamp_max(1), grid, "nearest")
        return resize_mask(masks, grid, "area")

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        loss, logs = super().loss(network, batch, epoch)
        if self.selection == "reverse-kl" and not network.model.training:  # on validation
            logs["attention/reverse_kl"] = self.reverse(network(batch.pictures), batch)
        return loss, logs

    def reverse(self, output: Output, batch: Batch) -> Tensor:
        from rl_attn.attention import kl_alignment

        return kl_alignment(self.attention(output, batch).map, batch.target, "reverse")

    def divergence(self, output: Output, batch: Batch) -> Tensor:
        from rl_attn.attention import kl_alignment

        return kl_alignment(self.attention(output, batch).map, batch.target, self.formula)

    def attention(self, output: Output, batch: Batch) -> Attention:
        """The CAM; Grad-CAM where the head is not linear on averaged features."""
        if output.weight is None:
            return output.grad_cam(batch.labels, normalization="minmax", epsilon=self.epsilon)
        return output.cam(batch.labels, normalization="minmax", epsilon=self.epsilon)
