"""One measurement for everybody: an agent's evaluation and a classifier's give the same numbers."""

import gymnasium
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rl_attn.agents import ActorCritic
from rl_attn.envs.protocol import Episode, Step
from rl_attn.rl.play import MEASURES, play
from rl_attn.supervised.batches import Batches, View
from rl_attn.supervised.data import Split
from rl_attn.supervised.evaluation import evaluate
from rl_attn.supervised.network import Network

SIZE = (60, 76)  # 4 x 6 cells round pixels 17.5 + 8 i: nothing is padded


class Film:
    """One lane that shows given frames and masks, whatever is done."""

    num_lanes, num_groups, action_space = 1, 1, gymnasium.spaces.Discrete(3)

    def __init__(self, frames: np.ndarray, masks: np.ndarray):
        self.film, self.shown = list(zip(frames, masks, strict=True)), 0
        self.frame_shape, self.mask_shape = frames.shape[1:], masks.shape[1:]

    def reset(self, frames, masks, seeds=None):
        frames[0], masks[0] = self.film[0]

    def step(self, actions, frames, masks):
        self.shown += 1
        ended = self.shown == len(self.film)
        if not ended:
            frames[0], masks[0] = self.film[self.shown]
        episodes = [Episode(0, 0, 0.0, self.shown, fault=False, truncated=False)] if ended else []
        rewards, going = np.zeros(1, np.float32), np.zeros(1, bool)
        return Step(rewards, np.array([ended]), going, episodes=episodes)


class Classifier(nn.Module):
    """The agent's policy as a classifier of single frames, to be tapped at `features`."""

    def __init__(self, agent: ActorCritic):
        super().__init__()
        self.features = nn.Sequential(*agent.convolutions, nn.ReLU())
        self.hidden, self.actor = agent.hidden, agent.actor

    def forward(self, pictures):
        cells = self.features(pictures).permute(0, 2, 3, 1).flatten(1)
        return self.actor(F.relu(self.hidden(cells)))


def test_an_agents_evaluation_and_a_classifiers_measure_the_same():
    torch.manual_seed(0)
    agent = ActorCritic(3, SIZE, 3).eval()
    nn.init.normal_(agent.actor.weight)
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (8, *SIZE, 3), dtype=np.uint8)
    masks = np.zeros((8, *SIZE), np.uint8)
    for row, mask in enumerate(masks[1:]):  # the first frame shows no target
        mask[3 * row : 3 * row + 30, 40 - 4 * row : 76] = 1
    (played,) = play(agent, Film(frames, masks), [0], greedy=True, target="action", stack=1)

    images = torch.from_numpy(frames).permute(0, 3, 1, 2)
    with torch.no_grad():
        labels = agent(images).policy.mode()
    view = View(None, 3, torch.zeros(3), torch.full((3,), 1 / 255))  # pixels as they are
    split = Split(images, labels, torch.from_numpy(masks) * 255)
    network = Network(Classifier(agent), "features")
    (measured,) = evaluate(network, Batches(split, view), size=3)

    assert played.length == 8 and played.empty_masks == 1 / 8 and measured["accuracy"] == 1
    for name in MEASURES:
        assert getattr(played, name) == pytest.approx(measured[name], abs=1e-6), name
    assert 0 < played.iou < 1 and 0 < played.alpha < 1 and played.dead_maps < 1
