"""Collecting: the policy plays num_steps in every environment, into the storage.

Learning (`learn.py`) reads the storage and knows no environment; this knows no loss.
"""

from dataclasses import replace

import numpy as np
import torch

from rl_attn.agents import Network, RolloutStorage
from rl_attn.envs.protocol import Episode, VectorEnv
from rl_attn.rl.distributed import Ranks
from rl_attn.rl.methods import Method
from rl_attn.rl.settings import PPOSettings

#: Episodes that ended, each with the step that ended it.
Ended = list[tuple[int, Episode]]


class Collector:
    """Plays; environments may form two groups: while the policy acts for one, the other steps."""

    def __init__(
        self,
        settings: PPOSettings,
        envs: VectorEnv,
        storage: RolloutStorage,
        method: Method,
        random: torch.Generator,
        ranks: Ranks,
    ):
        self.settings, self.envs, self.storage = settings, envs, storage
        self.method, self.random, self.ranks = method, random, ranks

    @torch.no_grad()
    def collect(self, agent: Network) -> Ended:
        """Play num_steps in the environments of this rank."""
        ended: Ended = []
        groups = range(self.envs.num_groups)
        for step in range(self.settings.num_steps):
            for group in groups:
                if step > 0:
                    ended += self.receive(step - 1, group)
                self.act(agent, step, group)
        for group in groups:
            ended += self.receive(self.settings.num_steps - 1, group)
        return ended

    def act(self, agent: Network, step: int, group: int) -> None:
        """Sample that group's actions and send them off."""
        lanes, storage = self.envs.group_slice(group), self.storage
        stacks, masks = storage.observation(step, lanes), storage.observed_masks(step, lanes)
        output = self.method.act(agent, stacks, masks, memory=storage.recall(step, lanes))
        noise = self.ranks.exponential(output.policy.parameters, self.random)
        actions = output.policy.sample(noise)
        storage.actions[step, lanes] = actions
        storage.log_probs[step, lanes] = output.policy.log_prob(actions)
        storage.values[step, lanes] = output.value
        storage.remember(step, lanes, output.recall)
        frames, masks = storage.inbox(step + 1, lanes)
        self.envs.send(agent.head.for_environment(actions), frames, masks, group)

    def receive(self, step: int, group: int) -> Ended:
        """Store what that group's actions led to."""
        lanes = self.envs.group_slice(group)
        result = self.envs.wait(group)
        self.storage.deliver(step + 1, lanes)
        limit = self.settings.reward_clip or np.inf
        rewards = np.clip(result.rewards, -limit, limit)
        dones = result.terminated | result.truncated
        self.storage.record(step, lanes, rewards, dones, result.final_frames, result.final_masks)
        first = self.ranks.rank * self.envs.num_lanes
        return [(step, replace(e, lane=first + e.lane)) for e in result.episodes]
