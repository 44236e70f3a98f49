"""Environments whose observations are a frame and the mask of the targets in it.

    import rl_attn.envs, gymnasium
    env = gymnasium.make("rl_attn/DefendCenter-v0")

or, without the first import, `gymnasium.make("rl_attn.envs:rl_attn/DefendCenter-v0")`.

`registry` finds an environment by name and starts many at once (`protocol.VectorEnv`): `doom` are
ours, `gym` takes those of anybody. `doom.env` is one game, `doom.vector` many, with gymnasium's
interface.

>>> SCENARIOS["Basic"].targets, SCENARIOS["Basic"].time_limit
(('category:Monster',), 300)
"""

from rl_attn.envs.doom.scenarios import SCENARIOS, register_with_gymnasium

__all__ = ["SCENARIOS"]

for _name in SCENARIOS:
    register_with_gymnasium(_name)
