"""A mini-batch of a rollout: what PPO's loss and a method's take.

Letters: B samples, M samples of the whole mini-batch (B of one rank, M of all).
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rl_attn.agents import Memory


@dataclass
class Batch:
    """CleanRL's b_obs, b_actions, b_logprobs, ... at one mini-batch's indices."""

    stacks: Tensor  # (B, S*C, H, W) uint8, as the environments gave them
    masks: Tensor  # (B, S, H, W) uint8, of each frame, the newest one's last
    actions: Tensor  # (B, ...), as `heads.Head` has them
    log_probs: Tensor  # (B,), of the policy that acted
    values: Tensor  # (B,), likewise
    advantages: Tensor  # (B,)
    returns: Tensor  # (B,)
    all_advantages: Tensor  # (M,), what advantages are normalised over
    shown: Tensor  # what the method's `observe` has made of the stacks
    targets: Any = None  # of these samples, from the method's `rollout`
    memory: Memory | None = None  # what a recurrent agent is called with
