"""Entropy: peaked attention, wherever it is; the control that a review of CAMAL asks for."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rl_attn.attention import Attention, entropy
from rl_attn.supervised.batches import Batch
from rl_attn.supervised.methods.grad_cam import GradCamMethod


@dataclass
class Entropy(GradCamMethod):
    """Cross-entropy + weight * the map's entropy, without a mask."""

    name: ClassVar[str] = "entropy"
    needs_masks: ClassVar[bool] = False

    def penalty(self, attention: Attention, batch: Batch) -> Tensor:
        return entropy(attention)
