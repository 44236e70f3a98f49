"""HAICS: cross-entropy of Grad-CAM on labelled cells (Shen et al. 2021).

Masks here are complete, so every cell is labelled: on or off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rl_attn.supervised.methods.grad_cam import HalfGradientMethod
from rl_attn.supervised.methods.gradia import RES_RECIPE

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch


@dataclass
class Haics(HalfGradientMethod):
    """Cross-entropy + weight * the map's binary cross-entropy with the mask."""

    name: ClassVar[str] = "haics"
    recipes: ClassVar[dict[str, dict[str, Any]]] = {"": RES_RECIPE}

    formula: Literal["intended", "released"] = "intended"
    """the mean over labelled cells, or as the code of RES has it"""

    def penalty(self, attention: Tensor, batch: Batch) -> Tensor:
        from rl_attn.attention import haics, signed_labels

        return haics(attention, signed_labels(batch.masks, batch.known), self.formula)
