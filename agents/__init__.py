"""Actor-critics and the rollout storage they learn from."""

from agents.actor_critic import ActorCritic, Output, Placement, Tap, cell_centres, feature_grid
from agents.rollout import RolloutStorage, gae

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
