"""Learned gate: a small segmenter, taught by the rollout's masks, decides what the policy sees.

The frame is multiplied by what the segmenter takes for targets; the agent learns from that and
from nothing else, with no mask at test. The gate has a loss and an optimizer of its own: after each
rollout it takes some steps on the rollout's frames, with a cross-entropy that counts pixels of
targets more. No gradient of PPO's reaches it. While PPO learns from a rollout, the gate stays as it
was when the agent acted, so that both see the same pictures.

VAI and MaDi mask an agent's frames without supervision; here the environment's masks teach.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rl_attn.rl.methods import METHODS, Method
from rl_attn.run.settings import NotNegative, Positive, Share

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.agents import RolloutStorage
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.methods import Phase

#: Stacks of one step of the gate's: many small steps teach it sooner than few large ones.
_BATCH = 16
#: Stacks that are gated at once: their maps stay in a CPU's cache.
_TOGETHER = 64
#: Frames of a stack whose gates fit into one byte a pixel.
_BITS = 8


@METHODS.register("learned-gate")
@dataclass
class LearnedGate(Method):
    """Train a PPO agent on frames in which a learned gate keeps only the targets."""

    gate: Literal["hard", "soft"] = "hard"
    """multiply frames by 0 and 1, or by the gate's probabilities"""
    gate_threshold: Share = 0.5
    """probability from which a hard gate lets a pixel through"""
    gate_dilation: NotNegative[int] = 2
    """pixels by which the gate is widened on every side"""
    gate_weight: Positive[float] = 3.0
    """how often a pixel of a target counts in the gate's cross-entropy"""
    gate_share: Share = 0.25
    """share of a rollout's frames that the gate is taught on, drawn at random"""
    gate_learning_rate: Positive[float] = 3e-3
    """learning rate of the gate's own Adam"""

    def refuses(self, other: Method, before: bool) -> str:
        if not (before and other.shows):
            return ""
        return "the gate is taught on the frames as they are, so name it first"

    def prepare(self) -> None:
        import torch

        from rl_attn.envs.registry import find
        from rl_attn.rl.segmenter import Segmenter
        from rl_attn.run.optimizers import eager

        settings = self.context.settings
        frames, channels = settings.frame_stack, find(settings).frame_shape[2]
        self.taught = Segmenter(frames * channels, frames).to(self.context.device)
        self.acting = deepcopy(self.taught)
        adam = eager(torch.optim.Adam)
        self.optimizer = adam(self.taught.parameters(), lr=self.gate_learning_rate)
        self.behind = False  # whether the gate that acts is an update behind

    def observe(self, stacks: Tensor, masks: Tensor, phase: Phase) -> Tensor:
        from rl_attn.rl.augment import masked

        if self.behind and phase != "learn":
            self.acting.load_state_dict(self.taught.state_dict())
            self.behind = False
        return masked(stacks, self.gates(stacks))

    def shown(self, batch: Batch) -> Tensor:
        import torch

        from rl_attn.rl.augment import masked

        if batch.targets is None:
            return super().shown(batch)
        frames = self.context.settings.frame_stack
        gates = [(batch.targets >> frame) & 1 for frame in range(frames)]
        return masked(batch.stacks, torch.stack(gates, dim=1))

    def gates(self, stacks: Tensor) -> Tensor:
        """What is let through, (B, S, H, W): uint8 of 0 and 1, or soft in [0, 1]."""
        import torch

        from rl_attn.rl.segmenter import widen

        with torch.no_grad():
            gates = self.acting(stacks).sigmoid()
            if self.gate == "hard":
                gates = (gates > self.gate_threshold).view(torch.uint8)
            return widen(gates, self.gate_dilation)

    def rollout(self, storage: RolloutStorage) -> tuple[Tensor | None, dict[str, float]]:
        """The gates that the agent acted with, then teach the gate on frames of the rollout."""
        import torch

        rows, random = storage.all_rows(), self.context.random
        kept = self.kept(storage, rows)
        order = torch.randperm(len(rows), generator=random, device=random.device)
        chosen = order[: round(self.gate_share * len(rows))].to(storage.device)
        losses, found, either = [], 0, 0
        for part in chosen.split(_BATCH):
            masks = storage.mask_stacks(rows[part])
            logits, loss = self.teach(storage.stacks(rows[part]), masks)
            seen = logits[:, -1].sigmoid() > self.gate_threshold
            found += (seen & (masks[:, -1] > 0)).sum()
            either += (seen | (masks[:, -1] > 0)).sum()
            losses.append(loss)
        self.behind = True
        if not losses:
            return kept, {}
        iou = (found / either).item() if either else float("nan")
        return kept, {"gate/loss": torch.stack(losses).mean().item(), "gate/iou": iou}

    def kept(self, storage: RolloutStorage, rows: Tensor) -> Tensor | None:
        """The rollout's gates, (T*N, H, W) uint8 with frame s of a stack in bit s; None: soft ones,
        or more frames than bits."""
        import torch

        frames = self.context.settings.frame_stack
        if self.gate == "soft" or frames > _BITS:
            return None
        with self.context.autocast():  # as when the agent acted
            parts = [self.gates(storage.stacks(some)) for some in rows.split(_TOGETHER)]
        bits = torch.arange(frames, dtype=torch.uint8, device=storage.device)[:, None, None]
        return torch.cat([(gates << bits).sum(1, dtype=torch.uint8) for gates in parts])

    def teach(self, stacks: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """One step on stacks and their masks (B, S, H, W); the logits and the loss before it."""
        from rl_attn.rl.segmenter import weighted_cross_entropy

        with self.context.autocast():
            logits = self.taught(stacks)
        loss = weighted_cross_entropy(logits, masks, self.gate_weight)
        self.optimizer.zero_grad(set_to_none=True)
        (loss / self.context.ranks.size).backward()
        self.context.ranks.sum_gradients(list(self.taught.parameters()))
        self.optimizer.step()
        return logits.detach(), loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {"gate": self.taught.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taught.load_state_dict(state["gate"])
        self.acting.load_state_dict(state["gate"])
        self.optimizer.load_state_dict(state["optimizer"])
