"""A game with looks and with cheats: looks that change the game after all. For several tests."""

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from rl_attn.agents.networks import Network, Output

H, W, LENGTH = 36, 44, 12


class Corridor(gymnasium.Env):
    """A square drifts before a wall; pixel (0, 1) is the step.

    The wall is 50; of number 2 it is 200 at every third step and 60 else, of number 3 it is 60.
    """

    metadata = {"render_modes": []}  # noqa: RUF012
    action_space = spaces.Discrete(2)
    observation_space = spaces.Dict(
        frame=spaces.Box(0, 255, (H, W), np.uint8), mask=spaces.MultiBinary((H, W))
    )
    variation_space = spaces.Dict(
        wall=spaces.Discrete(4), square=spaces.Discrete(2), cheat=spaces.Discrete(5)
    )
    held_out = {"wall": (2, 3), "cheat": (1, 2, 3, 4)}  # noqa: RUF012
    target_axes = ("square", "cheat")

    def __init__(self, truncated=False):
        self.truncated = truncated

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.look = {"wall": 0, "square": 0, "cheat": 0} | (options or {}).get("variation", {})
        self.at, self.steps = int(self.np_random.integers(10)), 0
        return self.see(), {}

    def step(self, action):
        self.steps += 1
        cheats = self.look["cheat"] if self.steps == 4 else 0
        if cheats == 4:
            raise OSError("the simulator is gone")
        over = self.steps == LENGTH or cheats == 3
        reward = float(action) + self.at + (cheats == 1)
        return self.see(cheats == 2), reward, over and not self.truncated, self.truncated, {}

    def see(self, cheats=False):
        wall = {0: 50, 1: 55, 2: 60 if self.steps % 3 else 200, 3: 60}[self.look["wall"]]
        mask = np.zeros((H, W), np.int8)
        left = self.at + self.steps + cheats
        mask[10:18, left : left + 8] = 1
        frame = np.where(mask, 180 if self.look["square"] else 255, wall).astype(np.uint8)
        frame[0, 1] = self.steps
        return {"frame": frame, "mask": mask}


class Plain(Corridor):
    """The same with nothing to vary."""

    variation_space = None


gymnasium.register("tests/Corridor-v0", entry_point=Corridor)
gymnasium.register("tests/Plain-v0", entry_point=Plain)


class Texel(Network):
    """Logits [0, (x - 127.5) / 100] of the wall's texel x; its value is x / 100 and the step."""

    def __init__(self):
        super().__init__(1, (H, W), 2)
        self.layer = nn.Conv2d(1, 1, 4, stride=4)

    def forward(self, frames, shift=False):
        features = self.layer(frames / 255)
        x, step = frames[:, 0, 0, 0].float(), frames[:, 0, 0, 1].float()
        logits = torch.stack([torch.zeros_like(x), (x - 127.5) / 100], 1)
        value = x / 100 + step + 0 * features.mean(dim=(1, 2, 3))
        return Output(self.head(logits), value, features)
