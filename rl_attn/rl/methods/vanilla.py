"""PPO as it is."""

from dataclasses import dataclass

from rl_attn.rl.methods import METHODS, Method


@METHODS.register("vanilla")
@dataclass
class Vanilla(Method):
    """Train a PPO agent that may look where it wants (Schulman et al. 2017)."""

    @property
    def capturable(self) -> bool:
        return True
