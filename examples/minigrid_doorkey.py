"""MiniGrid with its exact tiles as masks. Needs pip install 'rl-attn[minigrid]'.

rl-attn ppo --import examples/minigrid_doorkey.py --env examples/DoorKey-v0
"""

import gymnasium
from minigrid.core.constants import OBJECT_TO_IDX  # registers its environments

from rl_attn.envs.masks import Seen, TileMask

TARGETS = {OBJECT_TO_IDX[name] for name in ("key", "door", "goal")}


def tiles(seen: Seen):
    """The kinds of the 7 x 7 tiles in view; MiniGrid has them as (x, y)."""
    return seen.observation["image"][..., 0].T


def picture(seen: Seen):
    """What the agent sees, 8 pixels a tile."""
    return seen.env.unwrapped.get_frame(tile_size=8, agent_pov=True)


def door_key() -> gymnasium.Env:
    env = gymnasium.make("MiniGrid-DoorKey-5x5-v0")
    return TileMask(env, tiles, TARGETS, frame=picture)


gymnasium.register("examples/DoorKey-v0", entry_point=door_key)
