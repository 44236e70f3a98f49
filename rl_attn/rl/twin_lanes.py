"""The rollout's episodes under another look, frame by frame, for training.

A second set of lanes has the seeds of the first and is given its actions. A look changes the
picture and not the game, so both play the same episodes; each frame here is the twin of one there.
Should masks, rewards as they are learned from, or ends differ (a game died, a look changed the
game), that lane has parted for good and its frames no longer count.
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
        self.parted, self.reward_clip = np.zeros(number, bool), settings.reward_clip
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
        together = np.zeros((own.num_steps, own.num_lanes), np.float32)
        limit = self.reward_clip or np.inf
        for t in range(own.num_steps):
            # Behind an end both masks are of the next episode's first frame.
            other = (own.masks[t] != storage.masks[t]).flatten(1).any(1)
            self.parted |= other.cpu().numpy()
            together[t] = ~self.parted
            actions = head.for_environment(storage.actions[t])
            step = self.lanes.step(actions, *own.inbox(t + 1))
            own.deliver(t + 1)
            dones = step.terminated | step.truncated
            rewards = np.clip(step.rewards, -limit, limit)
            own.record(t, slice(None), rewards, dones, {}, {})
            self.parted |= (dones != storage.dones[t]) | (own.rewards[t] != storage.rewards[t])
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


class Twins:
    """`twins[samples]`: their stacks (B, S*C, H, W), and 1 where they are twins (B,)."""

    def __init__(self, storage: RolloutStorage, together: np.ndarray):
        """together: (T, N)."""
        self.storage, self.rows = storage, storage.all_rows()
        self.together = torch.from_numpy(together).flatten().to(storage.device)

    def __getitem__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        return self.storage.stacks(self.rows[samples]), self.together[samples]
