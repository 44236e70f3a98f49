"""GALS: keep input gradients where language looks (Petryk et al. 2022).

L = CE + weight * mean |g (1 - A)|, with g the gradient of the batch's *mean* cross-entropy by the
input and A the averaged maps of CLIP's prompts, in [0, 1]. Since g is 1/B of a sample's gradient,
the weight of 10,000 (Waterbirds) belongs to their batches of 96, and to images that are normalised
with ImageNet's statistics (`--unit`). Pictures whose A is zero
everywhere are left out of their mean; here they count as 0 in it. Maps come from `--masks FOLDER`,
or the data set's masks stand for them.

The other losses of their code, which no result of theirs needs:

    gradient-inside    mean |A (g - 1)|
    grad-cam-match     mean |Grad-CAM - A|
    grad-cam-outside   mean |Grad-CAM (1 - A)|

Their attention branch network is another architecture, and not here. ResNet-50 with ImageNet
weights (`--backbone timm:resnet50 --weights imagenet`), SGD with momentum 0.9, 5e-3 and, for the
head alone, 1e-4 (here one rate for all), weight decay 1e-5, 200 epochs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import batch_size, task_loss
from rl_attn.supervised.methods.input_gradient import InputGradientMethod, Unit

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch
    from rl_attn.supervised.network import Network


Where = Literal["gradient-outside", "gradient-inside", "grad-cam-match", "grad-cam-outside"]


@dataclass
class Gals(InputGradientMethod):
    """Cross-entropy + weight * input gradients off the language's map."""

    name: ClassVar[str] = "gals"
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": {
            "optimizer": "sgd",
            "momentum": 0.9,
            "learning_rate": 5e-3,
            "weight_decay": 1e-5,
            "batch_size": 96,
            "epochs": 200,
        }
    }

    weight: NotNegative[float] = 10_000.0
    """of the mean absolute gradient of the batch's mean loss (or of the difference of the maps)"""
    where: Where = "gradient-outside"
    """which pixels are compared with the maps, and how"""
    unit: Unit = "imagenet"

    def needs_features(self) -> bool:
        return self.where.startswith("grad-cam")

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        from rl_attn.attention import gals_attention, gals_gradient

        place, _, mode = self.where.rpartition("-")
        masks = batch.allowed if mode == "outside" else batch.masks
        if place == "grad-cam":
            output = network(batch.pictures)
            task = task_loss(output, batch)
            attention = output.grad_cam(batch.labels, normalization="minmax")
            penalty = gals_attention(attention, masks, mode)
        else:
            output = network.by_input(batch.pictures)
            task = task_loss(output, batch)
            gradient = self.gradient(task / batch_size(network, batch), batch.pictures)
            penalty = gals_gradient(gradient, masks, mode)
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs
