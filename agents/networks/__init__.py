"""Every actor-critic by its name: each file of this folder registers the one it is named after.

`NETWORKS["nature"]` imports `nature.py` and no other file; `--import` adds networks of other
places. `base.py` says what a network must provide.

>>> "impala" in NETWORKS
True
"""

from typing import TYPE_CHECKING

from rl_attn.lazy import names_of
from rl_attn.registry import Registry

if TYPE_CHECKING:
    from rl_attn.agents.networks.base import Network, Output, Trunk

NETWORKS: Registry[type["Network"]] = Registry("network", __name__)

__all__ = ["NETWORKS", "Network", "Output", "Trunk"]

__getattr__ = names_of(__name__, __file__)
