"""Which frames count as twins, where a look changes the game after all."""

import gymnasium
import numpy as np
import pytest
import torch
from corridor import LENGTH, Corridor
from gymnasium import spaces

from rl_attn.agents import RolloutStorage
from rl_attn.agents.heads import head_of
from rl_attn.envs.registry import find
from rl_attn.rl.settings import AgentSettings
from rl_attn.rl.twin_lanes import TwinLanes

STEPS, LANES = 8, 2


class Drifting(Corridor):
    """The square drifts by chance; all looks but the wall change the game, and no episode's end."""

    variation_space = spaces.Dict(
        {axis: spaces.Discrete(2) for axis in ("wall", "place", "noise", "pay")}
    )
    held_out, target_axes = {}, ()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.at += self.look.get("place", 0)
        return self.see(), {}

    def step(self, action):
        if self.look.get("noise"):
            self.np_random.random()  # a noise that the picture would have, of the game's numbers
        self.at += int(self.np_random.integers(3))
        observation, reward, *ends = super().step(action)
        bonus = 0.25 if self.look.get("pay") and self.steps == 4 else 0
        return observation, reward + bonus, *ends


gymnasium.register("tests/Drifting-v0", entry_point=Drifting)


def followed(looks: str, rollouts: int, **options: float) -> tuple[np.ndarray, np.ndarray]:
    """Which frames count, and which have the plain masks: (T, N), of these rollouts."""
    settings = AgentSettings(
        env="tests/Drifting-v0", env_processes=False, num_envs=LANES, num_steps=STEPS, **options
    )
    plain = RolloutStorage(STEPS, LANES, find(settings).frame_shape)
    twins = TwinLanes(settings, looks, torch.device("cpu"))
    head, limit = head_of(spaces.Discrete(2)), settings.reward_clip or np.inf
    counted, alike = [], []
    with find(settings).start(LANES, seed=settings.seed) as lanes:
        lanes.reset(*plain.inbox(0))
        for number in range(rollouts):
            if number:
                plain.roll()
            for t in range(STEPS):
                step = lanes.step(plain.actions[t].numpy(), *plain.inbox(t + 1))
                rewards = np.clip(step.rewards, -limit, limit)
                plain.record(t, slice(None), rewards, step.terminated | step.truncated, {}, {})
            found = twins.follow(plain, head)
            counted.append(found.together.view(STEPS, LANES).numpy())
            same = (twins.storage.masks == plain.masks)[:STEPS]
            alike.append(same.flatten(2).all(2).numpy())
    twins.close()
    return np.concatenate(counted), np.concatenate(alike)


def test_where_the_look_is_only_a_look_every_frame_counts_over_the_ends_of_episodes_too():
    counted, alike = followed("train:wall", rollouts=2)
    assert 2 * STEPS > LENGTH and counted.all() and alike.all()


@pytest.mark.parametrize("look", ["place", "noise"])
def test_a_lane_parts_with_the_first_other_mask(look):
    counted, alike = followed(f"train:{look}", rollouts=2)
    assert not alike.all(0).any() and alike[0].all() == (look == "noise")
    np.testing.assert_array_equal(counted, np.logical_and.accumulate(alike))


def test_a_lane_parts_with_the_first_other_reward():
    counted, alike = followed("train:pay", rollouts=2, reward_clip=0)
    assert alike.all() and counted[:4].all() and not counted[4:].any()
