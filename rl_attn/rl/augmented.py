"""What methods with augmented frames share: which augmentation it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rl_attn.rl.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Augmented(Method):
    """A method that makes another view of frames."""

    augmentation: Literal["convolution", "overlay"] = "convolution"
    """how frames are augmented: a random convolution of each sample's own (Lee et al. 2020), or a
    random picture laid over it (Hansen et al. 2021)"""

    def view(self, stacks: Tensor) -> Tensor:
        """The stacks (B, S*C, H, W) augmented, uint8."""
        from rl_attn.rl.augment import AUGMENTATIONS

        augment, context = AUGMENTATIONS[self.augmentation], self.context
        # They are floats where another method differentiates by them.
        return augment(stacks.byte(), context.settings.frame_stack, context.random)
