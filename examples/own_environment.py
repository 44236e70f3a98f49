"""An environment of one's own: observations of a frame and the mask of what matters in it.

rl-attn ppo --import examples/own_environment.py --env examples/Fetch-v0
"""

import gymnasium
import numpy as np
from gymnasium import spaces


class Fetch(gymnasium.Env):
    """Walk to the red square, past grey ones that are worth nothing."""

    MOVES = ((0, -1), (0, 1), (-1, 0), (1, 0))

    def __init__(self, cells: int = 6, pixels: int = 8) -> None:
        self.cells, self.pixels, side = cells, pixels, cells * pixels
        self.action_space = spaces.Discrete(len(self.MOVES))
        self.observation_space = spaces.Dict(
            frame=spaces.Box(0, 255, (side, side, 3), np.uint8),
            mask=spaces.MultiBinary((side, side)),
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)  # all chance comes from self.np_random: runs can be resumed
        places = self.np_random.permutation(self.cells**2)[:5]
        self.agent, self.target, *self.others = (divmod(p, self.cells) for p in places)
        return self._see(), {}

    def step(self, action):
        moved = np.add(self.agent, self.MOVES[action]).clip(0, self.cells - 1)
        self.agent = tuple(int(place) for place in moved)
        found = self.agent == self.target
        return self._see(), float(found), found, False, {}

    def _see(self):
        frame, mask = np.zeros((self.cells, self.cells, 3), np.uint8), np.zeros([self.cells] * 2)
        for place in self.others:
            frame[place] = 128
        frame[self.target], frame[self.agent], mask[self.target] = (255, 0, 0), (0, 0, 255), 1
        tile = np.ones((self.pixels, self.pixels), np.int8)
        return {"frame": np.kron(frame, tile[..., None]).astype(np.uint8),
                "mask": np.kron(mask, tile).astype(np.int8)}  # fmt: skip


gymnasium.register("examples/Fetch-v0", entry_point=Fetch, max_episode_steps=50)
