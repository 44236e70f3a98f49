"""A task of memory: a light is seen once, bright or dim, and its answer is asked for later.

    rl-attn ppo --env recall:Recall-v0 --frame-stack 1 --recurrent lstm

Two steps after the light a sign appears; action 1 then is right if the light was bright, action 0
if it was dim, for a reward of 1 or -1. Whoever sees one frame at a time can only guess: 0. The mask
is the light, or the sign.
"""

import gymnasium
import numpy as np
from gymnasium import spaces

SIZE, STEPS = 16, 4


class Recall(gymnasium.Env):
    metadata = {"render_modes": [], "render_fps": 4}  # noqa: RUF012

    def __init__(self):
        self.observation_space = spaces.Dict(
            frame=spaces.Box(0, 255, (SIZE, SIZE, 1), np.uint8),
            mask=spaces.MultiBinary((SIZE, SIZE)),
        )
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._bright, self._time = int(self.np_random.integers(2)), 0
        return self._observation(), {}

    def step(self, action):
        self._time += 1
        over = self._time == STEPS
        reward = (1.0 if action == self._bright else -1.0) if over else 0.0
        return self._observation(), reward, over, False, {}

    def _observation(self):
        frame, mask = np.zeros((SIZE, SIZE, 1), np.uint8), np.zeros((SIZE, SIZE), np.int8)
        if self._time == 0:
            frame[2:8, 2:8], mask[2:8, 2:8] = 255 if self._bright else 90, 1
        if self._time >= STEPS - 1:
            frame[9:13, 9:13], mask[9:13, 9:13] = 170, 1
        return {"frame": frame, "mask": mask}


gymnasium.register("Recall-v0", entry_point=Recall)
