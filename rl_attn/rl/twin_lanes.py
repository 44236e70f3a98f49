"""The rollout's episodes under another look, frame by frame, for training.

A second set of lanes has the seeds of the first and is given its actions. A look changes the
picture and not the game, so both play the same episodes; each frame here is the twin of one there.
Should an episode end in one set alone (a game died), or a mask be another one (a look that changes
the game is none), that lane has parted for good and its frames no longer count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_attn.agents import RolloutStorage
from rl_attn.agents.heads import Head
from rl_attn.envs.registry import find
from rl_attn.rl.settings import AgentSettings


class TwinLanes:
    """Plays after each rollout what the rollout has played."""

    def __init__(self, settings: AgentSettings, looks: str, device: torch.device):
        environment = find(replace(settings, looks=looks))
        number = settings.num_envs
        self.lanes = environment.start(number, seed=settings.seed)
        shape, stack = environment.frame_shape, settings.frame_stack
        self.storage = RolloutStorage(settings.num_steps, number, shape, stack, device)
        self.parted = np.zeros(number, bool)
        self.begun = False

    def follow(self, storage: RolloutStorage, head: Head) -> Twins:
        """Play the rollout's actions; its twins."""
        own = self.storage
        if self.begun:
            own.roll()
        else:
            self.lanes.reset(*own.inbox(0))
            own.deliver(0)
            self.begun = True
            self.parted |= _differ(own.masks[0], storage.masks[0])
        together = np.zeros((own.num_steps, own.num_lanes), np.float32)
        for t in range(own.num_steps):
            together[t] = ~self.parted
            actions = head.for_environment(storage.actions[t])
            step = self.lanes.step(actions, *own.inbox(t + 1))
            own.deliver(t + 1)
            dones = step.terminated | step.truncated
            own.record(t, slice(None), step.rewards, dones, {}, {})
            self.parted |= dones != storage.dones[t]
            self.parted |= _differ(own.masks[t + 1], storage.masks[t + 1])
        return Twins(own, together)

    def state_dict(self) -> dict[str, Any]:
        """What the next rollout's twins begin with."""
        own = self.storage
        return {
            "lanes": self.lanes.state_dict(),
            "frames": own.frames[-own.stack :].clone(),
            "age": torch.from_numpy(own.age[-1].copy()),
            "parted": self.parted.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, by playing the current episodes up to there."""
        own, self.begun = self.storage, True
        frames, age = own.frames[-own.stack :], state["age"].cpu().numpy()
        frames.copy_(state["frames"].view_as(frames))
        own.age[-1] = age
        self.parted[:] = state["parted"]
        self.lanes.load_state_dict(state["lanes"], *own.inbox(own.num_steps))
        own.deliver(own.num_steps)

    def close(self) -> None:
        self.lanes.close()


def _differ(masks: Tensor, others: Tensor) -> np.ndarray:
    """(N,) bool, of masks (N, H, W)."""
    return (masks != others).flatten(1).any(1).cpu().numpy()


class Twins:
    """`twins[samples]`: their stacks (B, S*C, H, W), and 1 where they are twins (B,)."""

    def __init__(self, storage: RolloutStorage, together: np.ndarray):
        """together: (T, N)."""
        self.storage, self.rows = storage, storage.all_rows()
        self.together = torch.from_numpy(together).flatten().to(storage.device)

    def __getitem__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        return self.storage.stacks(self.rows[samples]), self.together[samples]
