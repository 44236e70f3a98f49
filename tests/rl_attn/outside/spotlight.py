"""An environment of one's own, in one file: a light follows the pointer to a spot on the wall.

    rl-attn ppo --env spotlight:Spotlight-v0

The action is how far the pointer moves, (dy, dx); the reward is how near to the spot it comes. The
mask is the spot, which drifts, so that the agent must look at it.
"""

import gymnasium
import numpy as np
from gymnasium import spaces

SIZE, RADIUS = 48, 4


class Spotlight(gymnasium.Env):
    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012

    def __init__(self):
        self.observation_space = spaces.Dict(
            frame=spaces.Box(0, 255, (SIZE, SIZE, 1), np.uint8),
            mask=spaces.MultiBinary((SIZE, SIZE)),
        )
        self.action_space = spaces.Box(-1.0, 1.0, (2,))
        self._grid = np.stack(np.mgrid[:SIZE, :SIZE], axis=-1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._wall = self.np_random.integers(40, 90, (SIZE, SIZE))
        self._spot, self._pointer = self.np_random.uniform(RADIUS, SIZE - RADIUS, (2, 2))
        return self._observation(), {}

    def step(self, action):
        self._pointer = np.clip(self._pointer + 3 * np.asarray(action), 0, SIZE)
        drift = self.np_random.normal(0, 0.5, 2)
        self._spot = np.clip(self._spot + drift, RADIUS, SIZE - RADIUS)
        distance = np.linalg.norm(self._pointer - self._spot)
        reached = bool(distance < 1)
        return self._observation(), 1.0 if reached else -distance / SIZE, reached, False, {}

    def _observation(self):
        spot = self._disc(self._spot, RADIUS)
        frame = np.where(self._disc(self._pointer, 3), 160, np.where(spot, 255, self._wall))
        return {"frame": frame.astype(np.uint8)[..., None], "mask": spot.astype(np.int8)}

    def _disc(self, centre, radius):
        return np.square(self._grid - centre).sum(-1) <= radius**2


gymnasium.register("Spotlight-v0", entry_point=Spotlight, max_episode_steps=25)
