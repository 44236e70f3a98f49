"""Asymmetric critic: the critic sees the targets alone, the actor the whole frame (Pinto et al.
2018).

The critic is a network of its own, of the agent's kind, and needed in training only. The agent's
own value is then of no use, so the attention that is measured is the action's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from rl_attn.errors import UserError
from rl_attn.rl.methods import METHODS, Method

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rl_attn.agents import Output
    from rl_attn.rl.settings import AgentSettings


@METHODS.register("asymmetric-critic")
@dataclass
class AsymmetricCritic(Method):
    """Train a PPO agent whose critic sees frame times mask (Pinto et al. 2018)."""

    attention_target: Literal["value", "action"] = "action"
    """whose attention is measured: the action's, since the agent has no value of its own"""

    def check(self, settings: AgentSettings) -> None:
        if settings.attention_target != "action":
            raise UserError(
                f"--attention-target {settings.attention_target}: the critic of "
                f"--method {settings.method} is no part of the agent; leave it at action"
            )
        if settings.recurrent != "none":
            raise UserError(
                f"--recurrent {settings.recurrent}: the critic of --method {settings.method} "
                "remembers nothing; leave it out"
            )

    def refuses(self, other: Method, before: bool) -> str:
        if not other.uses_value:
            return ""
        return "its critic replaces the agent's own value, which the other's loss learns from"

    def prepare(self) -> None:
        from rl_attn.rl.trainer import make_agent

        # It sees frames as they are, whatever else the actor is shown by another method.
        self.critic = make_agent(replace(self.context.settings, method="vanilla"))

    def module(self) -> nn.Module:
        return self.critic

    def judged(self, output: Output, stacks: Tensor, masks: Tensor) -> Output:
        from rl_attn.rl.augment import masked

        return output._replace(value=self.critic(masked(stacks, masks)).value)
