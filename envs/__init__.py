"""Doom as gymnasium environments whose observations also hold the mask of the targets.

    import rl_attn.envs, gymnasium
    env = gymnasium.make("rl_attn/DefendCenter-v0")

`doom.env` is one environment, `doom.vector` many with gymnasium's interface, `doom.lanes` many at
full speed, `doom.scenarios` the table of what there is.
"""

import gymnasium

from rl_attn.envs.doom.scenarios import SCENARIOS

__all__ = ["SCENARIOS"]

for _name in SCENARIOS:
    gymnasium.register(
        id=f"rl_attn/{_name}-v0",
        entry_point="rl_attn.envs.doom.env:DoomEnv",
        vector_entry_point="rl_attn.envs.doom.vector:DoomVectorEnv",
        kwargs={"scenario": _name},
    )
