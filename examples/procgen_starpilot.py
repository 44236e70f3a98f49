"""Procgen's StarPilot with its enemies as masks. Needs procgen-mirror: see docs/environments.md.

rl-attn ppo --import examples/procgen_starpilot.py --env examples/StarPilot-v0
"""

import gymnasium
import numpy as np
from gymnasium import spaces
from procgen import ProcgenGym3Env

from rl_attn.envs.masks import TwinMask

#: Draws each kind of thing in a colour of its own, and nothing else otherwise.
MONOCHROME = {"use_monochrome_assets": True, "restrict_themes": True, "use_backgrounds": False}
ENEMIES = (127, 63, 127)


class Procgen(gymnasium.Env):
    """One level an episode, drawn by its seed; the level begins again with all its chance."""

    def __init__(self, name: str, **options) -> None:
        self.options = {"env_name": name, "distribution_mode": "easy", "num_levels": 1, **options}
        self.game = None
        self.action_space = spaces.Discrete(15)
        self.variation_space = spaces.Dict(background=spaces.Discrete(2))  # 1: none
        self.observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.close()
        played = self.options | {"start_level": int(self.np_random.integers(2**31))}
        if (options or {}).get("variation", {}).get("background"):
            played["use_backgrounds"] = False
        self.game = ProcgenGym3Env(num=1, num_threads=0, rand_seed=0, **played)
        _, seen, _ = self.game.observe()
        self.frame = seen["rgb"][0]
        return self.frame, {}

    def step(self, action):
        self.game.act(np.array([action], np.int32))
        reward, seen, over = self.game.observe()
        if not over[0]:  # else it shows the next episode already
            self.frame = seen["rgb"][0]
        return self.frame, float(reward[0]), bool(over[0]), False, {}

    def close(self):
        if self.game is not None:
            self.game.close()


def starpilot() -> gymnasium.Env:
    return TwinMask(Procgen("starpilot"), Procgen("starpilot", **MONOCHROME), [ENEMIES])


gymnasium.register("examples/StarPilot-v0", entry_point=starpilot)
