"""Segmentation head: a linear layer on the feature maps predicts the mask of the newest frame.

An auxiliary task for the trunk that policy and value share; the head is not used otherwise. The
target of a cell is the share of its pixels that are on; the loss is the binary cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rl_attn.rl.methods import METHODS, Method
from rl_attn.run.settings import NotNegative

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rl_attn.agents import Network, Output, RolloutStorage
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log


@METHODS.register("segmentation-head")
@dataclass
class SegmentationHead(Method):
    """Train a PPO agent whose trunk also predicts the mask."""

    segmentation: NotNegative[float] = 0.1
    """weight of the cross-entropy between predicted and true masks"""

    def prepare(self) -> None:
        self.head = self.context.agent.map_head(1)

    def module(self) -> nn.Module:
        return self.head

    def rollout(self, storage: RolloutStorage) -> tuple[Tensor, dict[str, float]]:
        """Shares of each cell that are on, (T*N, h, w)."""
        import torch

        from rl_attn.attention import pool_mask

        agent, masks = self.context.agent, storage.masks[: storage.num_steps]
        parts = masks.flatten(0, 1).split(256)
        return torch.cat([pool_mask(part, agent.grid, agent.cells) for part in parts]), {}

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor, Log]:
        from torch.nn.functional import binary_cross_entropy_with_logits

        logits = self.head(output.features.float())[:, 0]  # (B, h, w)
        loss = binary_cross_entropy_with_logits(logits, batch.targets)
        return self.segmentation * loss, {"losses/segmentation": loss}
