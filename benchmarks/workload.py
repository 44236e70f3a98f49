"""What a contender is told: below the benchmarks and their contenders, and without torch."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass
class Games:
    """Of contenders that play; see `rl_throughput.py`."""

    env: str = "DefendCenter"
    """the scenario"""
    width: int = 160
    """frame width in pixels"""
    height: int = 120
    """frame height in pixels"""
    num_envs: int = 8
    """games played at once"""
    num_steps: int = 128
    """steps of each game in a rollout"""

    device: str = "auto"
    """where the agents learn: auto, cpu, cuda or cuda:N"""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """of our PPO; the others always use fp32"""
    threads: int = 0
    """CPU threads of torch, the same for all (0: as many as cores)"""

    @property
    def flags(self) -> dict[str, Any]:
        """Those of an agent's settings."""
        names = ("env", "width", "height", "num_envs", "num_steps")
        return {name: getattr(self, name) for name in names}


@dataclass
class Classifiers:
    """Of contenders that train a classifier; see `supervised_epoch.py`."""

    batch_size: int = 32
    """images a step"""
    threads: int = 2
    """CPU threads of torch"""
    device: str = "cpu"
    """cpu or cuda"""
