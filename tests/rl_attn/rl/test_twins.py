"""Twins by hand: an agent answers to what it sees of the wall, and to nothing that it does not."""

import re

import numpy as np
import pytest
import torch
from corridor import LENGTH, Texel, W
from torch import nn

from rl_attn.agents.core import Memory, Recall
from rl_attn.agents.networks import NETWORKS, Network, Output
from rl_attn.envs.doom.env import DoomEnv
from rl_attn.rl.methods import Method
from rl_attn.rl.play import Player
from rl_attn.rl.settings import AgentSettings
from rl_attn.rl.twins import play_twins, summary

SEEDS = [3, 4]
PLAIN, BRIGHT, DIM = (torch.tensor([0, (x - 127.5) / 100]).double() for x in (50, 200, 60))


class Gated(Method):
    """Shows the agent the targets and nothing else."""

    def observe(self, stacks, masks, phase):
        return stacks * masks


def player_of(agent, env="tests/Corridor-v0", method=None, **settings):
    settings = AgentSettings(env=env, frame_stack=1, env_processes=False, **settings)
    return Player(agent, settings, method)


def kl(p, q):
    p, q = p.log_softmax(0), q.log_softmax(0)
    return float((p.exp() * (p - q)).sum())


def looks_of(player, text, count=9):
    return player.environment.variations().select(text, count)


def test_an_agent_that_reads_a_texel_of_the_wall_has_the_rates_computed_by_hand():
    player = player_of(Texel())
    twins = play_twins(player, SEEDS, looks_of(player, "test:wall,square"), greedy=True)
    assert [(t.seed, t.look, t.parted) for t in twins] == [
        *((seed, look, "") for seed in SEEDS for look in ("wall 2", "square 1")),
        *((seed, "wall 3", "") for seed in SEEDS),
    ]
    bright, square, dim = twins[0], twins[1], twins[4]
    assert len(bright.frames) == LENGTH
    spread = np.std(np.arange(LENGTH))  # V is 0.5 + step
    # The wall is bright in steps 0, 3, 6, 9: the likeliest action is the other one there.
    assert bright.flip == pytest.approx(4 / 12)
    assert bright.kl == pytest.approx((4 * kl(PLAIN, BRIGHT) + 8 * kl(PLAIN, DIM)) / 12, abs=1e-6)
    assert bright.value_change == pytest.approx((4 * 1.5 + 8 * 0.1) / 12 / spread, abs=1e-5)
    assert bright.pixels == pytest.approx((36 * W - 64 - 1) / (36 * W))
    assert dim.flip == 0 and dim.kl == pytest.approx(kl(PLAIN, DIM), abs=1e-6)
    assert (square.flip, square.kl, square.value_change) == (0, 0, 0)
    assert square.pixels == pytest.approx(64 / (36 * W))
    means = summary(twins)
    assert list(means) == ["wall", "square"]
    assert means["wall"]["flip"].mean == pytest.approx(2 / 12)  # of two looks
    assert means["wall"]["flip"].low == pytest.approx(2 / 12)  # both episodes alike


class Recalling(Texel):
    """Logits [0, (m - 127.5) / 100] of the brightest texel m that it saw before this frame."""

    memory_size = 1

    def blank(self, samples):
        return Memory(torch.zeros(samples, 1))

    def forward(self, frames, shift=False, memory=None):
        output = super().forward(frames)
        x, step = frames[:, 0, 0, 0].float(), frames[:, 0, 0, 1].float()
        before = memory.state[:, 0]
        logits = torch.stack([torch.zeros_like(x), (before - 127.5) / 100], 1)
        after = torch.maximum(before, x)[:, None]
        recall = Recall(x[:, None], memory.state, after)
        value = before / 100 + step + 0 * output.features.mean(dim=(1, 2, 3))
        return Output(self.head(logits), value, output.features, None, recall)


def test_a_recurrent_agent_remembers_each_look_as_it_was_seen():
    player = player_of(Recalling())
    twins = play_twins(player, SEEDS, looks_of(player, "test:wall"), greedy=True)
    bright, dim = twins[0], twins[2]
    assert not bright.parted and len(bright.frames) == LENGTH
    # Of wall 2 the first frame is 200, and so all that is remembered from the second one on; in the
    # first one nothing is, in the plain look either. A second episode begins without memories.
    assert [frame["flip"] for frame in bright.frames] == [0] + [1] * (LENGTH - 1)
    assert bright.kl == pytest.approx(kl(PLAIN, BRIGHT) * (LENGTH - 1) / LENGTH, abs=1e-6)
    assert twins[1].frames == bright.frames
    assert dim.flip == 0 and dim.kl == pytest.approx(kl(PLAIN, DIM) * 11 / 12, abs=1e-6)


def test_an_agent_that_ignores_all_but_the_targets_does_nothing_differently():
    torch.manual_seed(0)
    player = player_of(NETWORKS["nature"](1, (36, W), 2).eval(), method=Gated())
    twins = play_twins(player, SEEDS, looks_of(player, "test:wall,square"))
    for twin in twins:
        assert not twin.parted
        if twin.axis == "wall":
            assert twin.flip == 0 and twin.pixels > 0.9
            assert twin.kl == pytest.approx(0, abs=1e-9)
            assert twin.value_change == pytest.approx(0, abs=1e-4)
            assert twin.iou == pytest.approx(twin.iou_plain, abs=1e-4)
        else:  # the control: what it looks at has changed
            assert twin.kl > 1e-9 and twin.value_change > 1e-3


@pytest.mark.parametrize(
    ("cheat", "reason"),
    [
        (1, r"after 4 steps: reward \d+, not \d+"),
        (2, "after 4 steps: another mask"),
        (3, r"after 4 steps: only one of the two has ended"),
        (4, "after 4 steps: the game died"),
    ],
)
def test_what_is_no_twin_is_named_and_left_out(cheat, reason):
    player = player_of(Texel())
    looks = {"cheat": [{"cheat": cheat}], "wall": [{"wall": 2}]}
    cheats, walls = play_twins(player, SEEDS[:1], looks, greedy=True)
    assert re.fullmatch(reason, cheats.parted)
    assert np.isnan(cheats.flip) and walls.flip == pytest.approx(4 / 12) and not walls.parted
    assert np.isnan(summary([cheats])["cheat"]["flip"].mean)


def test_in_doom_too_with_the_rate_of_frames_played_one_by_one():
    class Wall(Network):
        """Shoots if the texel at (20, 80) is bright."""

        def __init__(self):
            super().__init__(1, (120, 160), 4)
            self.layer = nn.Conv2d(1, 1, 8, stride=8)

        def forward(self, frames, shift=False):
            features = self.layer(frames / 255)
            logits = torch.zeros(len(frames), 4)
            logits[:, 3] = frames[:, 0, 20, 80].float() - 60.5
            value = frames[:, 0, 20, 80] / 255 + 0 * features.mean((1, 2, 3))
            return Output(self.head(logits), value, features)

    settings = AgentSettings(env="Basic", frame_stack=1, frame_skip=8)
    looks = {"surfaces": [{"surfaces": 403}], "colour": [{"colour": 4}]}
    walls, colours = play_twins(Player(Wall(), settings), [3], looks, greedy=True)
    assert not walls.parted and not colours.parted
    env, texels = DoomEnv("Basic", frame_skip=8), {}
    for surfaces in (0, 403):
        observation, _ = env.reset(seed=3, options={"variation": {"surfaces": surfaces}})
        texels[surfaces], over, step = [], False, 0
        while not over:
            texels[surfaces].append(int(observation["frame"][20, 80, 0]))
            plain = texels[0][step] > 60.5
            observation, _, *ends, _ = env.step(3 if plain else 0)
            over, step = any(ends), step + 1
    env.close()
    plain, other = (np.array(texels[surfaces]) > 60.5 for surfaces in (0, 403))
    assert len(walls.frames) == len(plain) > 3
    assert walls.flip == pytest.approx((plain != other).mean())
    assert walls.pixels > 0.5 and 0 < colours.pixels < 0.05
    assert colours.flip == 0 and colours.kl == pytest.approx(0, abs=1e-9)
