"""dm_control's reacher with MuJoCo's segmentation as masks. Needs pip install 'rl-attn[dmc]'.

MUJOCO_GL=egl rl-attn ppo --import examples/dm_control_reacher.py --env examples/Reacher-v0
"""

import gymnasium
import numpy as np
from gymnasium import spaces

from rl_attn.envs.masks import IdMask

GEOM = 5  # MuJoCo's mjOBJ_GEOM
FLAGS = {"shadow": False, "reflection": False}  # several times faster without a GPU


class Reacher(gymnasium.Env):
    """Bring the hand to the target: two torques."""

    def __init__(self, size: int = 64) -> None:
        from dm_control import suite  # here, and so in each environment's own process: EGL

        self.random = np.random.RandomState()
        self.view = {"height": size, "width": size, "camera_id": 0}
        often = {"control_timestep": 0.08}  # seconds: 250 steps an episode, of four of its own
        chance = {"random": self.random}
        self.game = suite.load("reacher", "easy", chance, environment_kwargs=often)
        self.game.physics.model.vis.quality.offsamples = 0
        self.target = self.game.physics.model.name2id("target", "geom")
        torques = self.game.action_spec()
        self.action_space = spaces.Box(-1, 1, torques.shape, np.float32)
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.random.seed(int(self.np_random.integers(2**31)))
        self.game.reset()
        return self.see(), {}

    def step(self, action):
        step = self.game.step(action)
        ended = step.last() and step.discount == 0
        return self.see(), step.reward, ended, step.last() and not ended, {}

    def see(self):
        return self.game.physics.render(**self.view, render_flag_overrides=FLAGS)

    def geoms(self):
        """Which geom each pixel shows; -1: none."""
        seen = self.game.physics.render(segmentation=True, **self.view)
        return np.where(seen[..., 1] == GEOM, seen[..., 0], -1)


def reacher() -> gymnasium.Env:
    env = Reacher()
    return IdMask(env, lambda seen: env.geoms(), {env.target})


gymnasium.register("examples/Reacher-v0", entry_point=reacher)
