"""CAMAL: attend to the mask, and nowhere else (Hundal et al. 2026, Eq. 1 and 2).

L = CE + weight * mean(beta - alpha), with alpha and beta the mean Grad-CAM of the true class inside
and outside the mask. AdamW, 500 epochs, batches of 32 (Table 7; for transformers the learning rate
is 1e-4). Thirty epochs are the default here, which the small data sets need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.grad_cam import GradCamMethod

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.attention import Attention, Cells, MaskWeights
    from rl_attn.supervised.batches import Batch


@dataclass
class Camal(GradCamMethod):
    """Cross-entropy + weight * (beta - alpha)."""

    name: ClassVar[str] = "camal"
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": {"optimizer": "adamw", "weight_decay": 0.01, "batch_size": 32},  # rates: `rate_of`
    }

    weight: NotNegative[float] = 1.0
    """lambda of the CAMAL loss"""
    empty_mask: Literal["skip", "suppress"] = "skip"
    """pictures whose mask is empty: no CAMAL loss, or suppress all attention"""
    placement: Literal["cells", "stretched"] = "cells"
    """where the loss places a map: where its cells lie in the picture, or stretched over the
    picture, as the paper has it; evaluations always place cells"""

    def target(
        self,
        masks: Tensor,
        grid: tuple[int, int],
        cells: Cells | None = None,
        known: Tensor | None = None,
    ) -> MaskWeights:
        from rl_attn.attention import mask_weights

        return mask_weights(masks, grid, cells if self.placement == "cells" else None, known)

    def penalty(self, attention: Attention, batch: Batch) -> Tensor:
        from rl_attn.attention import alpha_beta, camal_loss

        alpha, beta = alpha_beta(attention.map, batch.target)
        return camal_loss(alpha, beta, batch.target.present, self.empty_mask)
