"""GRADIA: L1 between Grad-CAM and the mask (Gao et al. 2022, "Aligning Eyes").

As in the code of RES, which holds it as a baseline: ResNet-50 at 224, Adam with 1e-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.supervised.methods.grad_cam import HalfGradientMethod

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch


#: Of the one file that holds GRADIA, HAICS and RES.
RES_RECIPE: dict[str, Any] = {"optimizer": "adam", "learning_rate": 1e-4, "weight_decay": 0.0}


@dataclass
class Gradia(HalfGradientMethod):
    """Cross-entropy + weight * mean |map - mask|."""

    name: ClassVar[str] = "gradia"
    recipes: ClassVar[dict[str, dict[str, Any]]] = {"": RES_RECIPE}

    def penalty(self, attention: Tensor, batch: Batch) -> Tensor:
        from rl_attn.attention import gradia

        return gradia(attention, batch.masks, batch.known)
