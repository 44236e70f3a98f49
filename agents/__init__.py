"""Actor-critics and the rollout storage they learn from.

>>> "nature" in NETWORKS
True
"""

from typing import TYPE_CHECKING

from rl_attn.lazy import names_of

if TYPE_CHECKING:
    from rl_attn.agents.core import Memory
    from rl_attn.agents.networks import NETWORKS, Network, Output, Trunk
    from rl_attn.agents.networks.nature import ActorCritic, cell_centres, feature_grid
    from rl_attn.agents.rollout import RolloutStorage, gae

__all__ = [
    "NETWORKS",
    "ActorCritic",
    "Memory",
    "Network",
    "Output",
    "RolloutStorage",
    "Trunk",
    "cell_centres",
    "feature_grid",
    "gae",
]

__getattr__ = names_of(__name__, __file__)
