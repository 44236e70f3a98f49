"""HINT: attend where a human would (Selvaraju et al. 2019), as the XIL typology runs it.

Squared distance between the Grad-CAM of the true class and what is rewarded (Friedrich et al.
2023): weight 100, Adam 1e-3, batches of 256, 50 epochs on DecoyMNIST with `decoy-cnn`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.grad_cam import HalfGradientMethod

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch


#: The XIL typology's.
XIL_RECIPE: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "batch_size": 256,
    "epochs": 50,
}


@dataclass
class Hint(HalfGradientMethod):
    """Cross-entropy + weight * mean (map - mask)^2."""

    name: ClassVar[str] = "hint"
    recipes: ClassVar[dict[str, dict[str, Any]]] = {"": XIL_RECIPE}

    weight: NotNegative[float] = 100.0
    """weight of the attention loss"""

    def penalty(self, attention: Tensor, batch: Batch) -> Tensor:
        from rl_attn.attention import hint

        return hint(attention, batch.masks, batch.known)
