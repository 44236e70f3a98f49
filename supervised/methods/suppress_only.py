"""Suppress-only: no attention outside the mask, and no word on what is inside.

What CAMAL (Hundal et al. 2026, section 3.1) says earlier methods come down to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rl_attn.supervised.methods.grad_cam import GradCamMethod

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.attention import Attention
    from rl_attn.supervised.batches import Batch


@dataclass
class SuppressOnly(GradCamMethod):
    """Cross-entropy + weight * attention outside the mask."""

    name: ClassVar[str] = "suppress-only"

    norm: Literal["l1", "l2"] = "l1"
    """mean attention outside, or mean squared attention"""

    def penalty(self, attention: Attention, batch: Batch) -> Tensor:
        from rl_attn.attention import suppress_only

        return suppress_only(attention, batch.allowed, self.norm)
