"""Every actor-critic by its name: each file of this folder registers the one it is named after.

`NETWORKS.find("nature")` imports `nature.py` and no other file; `--import` adds networks of other
places. What a network owes is in `base.py`.
"""

from rl_attn.agents.networks.base import Network, Output
from rl_attn.registry import Registry

NETWORKS: Registry[type[Network]] = Registry("network", __name__)

__all__ = ["NETWORKS", "Network", "Output"]
