"""Actor-critics and the rollout storage they learn from."""

from agents.actor_critic import ActorCritic, Output, Tap, feature_grid
from agents.rollout import RolloutStorage, gae

__all__ = ["ActorCritic", "Output", "RolloutStorage", "Tap", "feature_grid", "gae"]
