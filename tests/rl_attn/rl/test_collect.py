"""Collecting: what the policy's actions are drawn from."""

import numpy as np
import torch
from gymnasium.spaces import Discrete
from scipy.stats import chisquare

from rl_attn.agents import Output, RolloutStorage
from rl_attn.agents.heads import head_of
from rl_attn.envs.protocol import Step
from rl_attn.rl.collect import Collector
from rl_attn.rl.distributed import ALONE
from rl_attn.rl.methods import Method
from rl_attn.rl.settings import PPOSettings

LANES = 50


class Nothing:
    """Environments of black frames in which nothing happens."""

    num_lanes, num_groups = LANES, 1

    def group_slice(self, group):
        return slice(0, LANES)

    def send(self, actions, frames, masks, group=0):
        pass

    def wait(self, group=0):
        none = np.zeros(LANES, bool)
        return Step(np.zeros(LANES, np.float32), none, none)


def test_collected_actions_are_samples_of_the_policy():
    """A chi-square test on 5,000 of them: `* noise` in place of `/ noise` is found."""
    probabilities = torch.tensor([0.1, 0.2, 0.7])

    def agent(stacks, memory=None):
        policy = agent.head(probabilities.log().expand(len(stacks), 3))
        return Output(policy, torch.zeros(len(stacks)), torch.zeros(len(stacks), 1, 1, 1))

    agent.head = head_of(Discrete(3))
    settings = PPOSettings(num_envs=LANES, num_steps=100)
    storage = RolloutStorage(100, LANES, (2, 2, 1), stack=1)
    random = torch.Generator().manual_seed(0)
    Collector(settings, Nothing(), storage, Method(), random, ALONE).collect(agent)
    counts = torch.bincount(storage.actions.flatten(), minlength=3)
    assert chisquare(counts.numpy(), 5000 * probabilities.double().numpy()).pvalue > 0.01
    log_probs = probabilities.log()[storage.actions]
    torch.testing.assert_close(storage.log_probs, log_probs)
