"""Actor-critics and the rollout storage they learn from."""

from rl_attn.agents.networks.nature import (
    ActorCritic,
    Output,
    Placement,
    Tap,
    cell_centres,
    feature_grid,
)
from rl_attn.agents.rollout import RolloutStorage, gae

__all__ = [
    "ActorCritic",
    "Output",
    "Placement",
    "RolloutStorage",
    "Tap",
    "cell_centres",
    "feature_grid",
    "gae",
]
