"""Every method by its name: each file of this folder registers the one it is named after.

`METHODS.find("camal")` imports `camal.py` and no other file; `--import` adds methods of other
places.
"""

from rl_attn.registry import Registry
from rl_attn.rl.methods.base import Context, Method, Phase

METHODS: Registry[type[Method]] = Registry("method", __name__)

__all__ = ["METHODS", "Context", "Method", "Phase"]
