"""Doom as gymnasium environments whose observations also hold the mask of the targets.

    import envs, gymnasium
    env = gymnasium.make("rl_attn/DefendCenter-v0")

`envs.doom` is one environment, `envs.vector` many with gymnasium's interface, `envs.lanes` many at
full speed, `envs.scenarios` the table of what there is.
"""

import gymnasium

from envs.scenarios import SCENARIOS

__all__ = ["SCENARIOS"]

for _name in SCENARIOS:
    gymnasium.register(
        id=f"rl_attn/{_name}-v0",
        entry_point="envs.doom:DoomEnv",
        vector_entry_point="envs.vector:DoomVectorEnv",
        kwargs={"scenario": _name},
    )
