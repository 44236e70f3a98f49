"""Mask channel: each frame comes with its mask as one more channel, also in an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rl_attn.rl.methods import METHODS, Method

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.rl.methods import Phase


@METHODS.register("mask-channel")
@dataclass
class MaskChannel(Method):
    """Train a PPO agent on frames with their mask as one more channel."""

    needs_masks: ClassVar[bool] = True

    def channels(self, channels: int, stack: int) -> int:
        return stack * (channels + 1)

    def observe(self, stacks: Tensor, masks: Tensor, phase: Phase) -> Tensor:
        import torch

        frames = stacks.unflatten(1, (masks.shape[1], -1))  # (B, S, C, H, W)
        return torch.cat([frames, 255 * masks[:, :, None]], dim=2).flatten(1, 2)
