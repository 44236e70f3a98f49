"""A method is a dataclass: its fields are its flags, its hooks are what it does.

    @METHODS.register("my-method")
    @dataclass
    class MyMethod(Method):
        \"\"\"One line, the paper.\"\"\"

        weight: float = 1.0
        \"\"\"help text of --weight\"\"\"

        def loss(self, agent, output, batch):
            penalty = ...                               # (B,)
            return self.weight * penalty.mean(), {"losses/penalty": penalty.mean()}

In this folder, the file's name is the method's; a file anywhere else is named with `--import`.
Flags are parsed before torch is imported, so a file of this folder imports it inside its hooks.

What a hook needs of the run is in `self.context`, which is set before `prepare`. Random numbers
come from `self.context.random`: it is seeded anew for each rollout and each update, so that a
resumed run draws the same ones and no state is kept for it.

Letters: T steps, N environments, B samples of a mini-batch, S stacked frames, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from rl_attn.agents import Output, RolloutStorage
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.distributed import Ranks
    from rl_attn.rl.entries import Log
    from rl_attn.rl.settings import AgentSettings

#: "act": the policy chooses an action; "learn": a mini-batch; "evaluate": an episode is measured.
Phase = Literal["act", "learn", "evaluate"]


@dataclass(frozen=True)
class Context:
    """What a method may look at."""

    agent: nn.Module
    settings: AgentSettings
    device: torch.device
    ranks: Ranks
    random: torch.Generator


@dataclass
class Method:
    """Defaults of every hook: PPO alone."""

    #: Set before `prepare`.
    context: ClassVar[Context]

    @property
    def attends(self) -> bool:
        """Whether `loss` makes attention maps: the forward then gives `Output.shift`."""
        return False

    def check(self, settings: AgentSettings) -> None:
        """Refuse (UserError) settings that cannot work; called before anything is loaded."""

    def prepare(self) -> None:
        """Once, before the first step or the resumed one; no environment has started yet."""

    def module(self) -> nn.Module | None:
        """Parameters of its own, trained with the agent's and kept in checkpoints."""
        return None

    def observe(self, stacks: Tensor, masks: Tensor, phase: Phase) -> Tensor:
        """What the agent is shown of stacks (B, S*C, H, W) uint8 and masks (B, H, W) uint8."""
        return stacks

    def rollout(self, storage: RolloutStorage) -> tuple[Any, dict[str, float]]:
        """Targets made once a rollout, and what to log of it.

        The targets are None, or indexed by samples t * N + n, as a Tensor (T*N, ...) is.
        """
        return None, {}

    def loss(self, agent: nn.Module, output: Output, batch: Batch) -> tuple[Tensor | None, Log]:
        """A mini-batch's loss beside PPO's, a scalar, and what to log (see `entries.py`).

        `output` is the forward of `batch.stacks`, as `observe` showed them.
        """
        return None, {}

    def state_dict(self) -> dict[str, Any]:
        """What else changes from update to update: tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`; called after `prepare`."""
