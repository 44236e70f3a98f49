"""Entropy: peaked attention, wherever it is; the control that a review of CAMAL asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rl_attn.supervised.methods.grad_cam import GradCamMethod

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.attention import Attention
    from rl_attn.supervised.batches import Batch


@dataclass
class Entropy(GradCamMethod):
    """Cross-entropy + weight * the map's entropy, without a mask."""

    name: ClassVar[str] = "entropy"
    needs_masks: ClassVar[bool] = False

    def penalty(self, attention: Attention, batch: Batch) -> Tensor:
        from rl_attn.attention import entropy

        return entropy(attention)
