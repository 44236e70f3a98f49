"""Doom as gymnasium environments whose observations also hold the mask of the targets.

    import rl_attn.envs, gymnasium
    env = gymnasium.make("rl_attn/DefendCenter-v0")

`doom.env` is one environment, `doom.vector` many with gymnasium's interface, `doom.lanes` many at
full speed, `doom.scenarios` the table of what there is.
"""

from rl_attn.envs.doom.scenarios import SCENARIOS, register_with_gymnasium

__all__ = ["SCENARIOS"]

for _name in SCENARIOS:
    register_with_gymnasium(_name)
