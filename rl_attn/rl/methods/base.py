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
come from `self.context.random`: it is seeded again for each rollout and each update, so that a
resumed run draws the same ones and no state is kept for it.

Letters: T steps, N environments, B samples of a mini-batch, S stacked frames, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from rl_attn.agents import Network, Output, RolloutStorage
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.distributed import Ranks
    from rl_attn.rl.entries import Log
    from rl_attn.rl.settings import AgentSettings

#: "act": the policy chooses an action; "learn": a mini-batch; "evaluate": an episode is measured.
Phase = Literal["act", "learn", "evaluate"]


@dataclass(frozen=True)
class Context:
    """What a method may look at."""

    agent: Network
    settings: AgentSettings
    device: torch.device
    ranks: Ranks
    random: torch.Generator
    #: Within it, a forward of one's own computes in the run's precision.
    autocast: Callable[[], AbstractContextManager] = nullcontext


class _InRun:
    context: Context  # set before `prepare`; no field, since it is no flag


@dataclass
class Method(_InRun):
    """Defaults of every hook: PPO alone."""

    #: Whether `loss` learns from the value of the agent's own head, which `judged` may replace.
    uses_value: ClassVar[bool] = False
    #: Whether `shown` comes after that of all methods that it is joined with.
    last: ClassVar[bool] = False
    #: Whether the agent needs the mask to act, in an evaluation too.
    needs_masks: ClassVar[bool] = False

    @property
    def attends(self) -> bool:
        """Whether `loss` makes attention maps: the forward then gives `Output.shift`."""
        return False

    @property
    def capturable(self) -> bool:
        """Whether `observe`, `judged` and `loss` are the same kernels for every mini-batch: they
        read tensors of the batch and numbers that never change, and wait for none of the results.
        Only then can they be captured (--cuda-graphs)."""
        return False

    @property
    def shows(self) -> bool:
        """Whether `observe` changes anything: an evaluation then needs the method."""
        return type(self).observe is not Method.observe

    @property
    def judges(self) -> bool:
        """Whether `judged` changes anything: V is the method's then, not the agent's."""
        return type(self).judged is not Method.judged

    def channels(self, channels: int, stack: int) -> int:
        """How many channels `observe` gives, for frames of so many and stacks of so many frames."""
        return stack * channels

    def check(self, settings: AgentSettings) -> None:
        """Refuse (UserError) settings that cannot work; called before anything is loaded."""

    def check_training(self, settings: AgentSettings) -> None:
        """Refuse (UserError) what training lacks, such as a teacher's run; called with full paths
        when a run starts or goes on, and not when its agent plays."""

    def refuses(self, other: Method, before: bool) -> str:
        """Why it cannot be joined with this other method; "": it can.

        Args:
            before: whether the other's name comes before this one's.
        """
        return ""

    def prepare(self) -> None:
        """Once, before the first step or the resumed one; no environment has started yet."""

    def module(self) -> nn.Module | None:
        """Parameters of its own, trained with the agent's and kept in checkpoints."""
        return None

    def observe(self, stacks: Tensor, masks: Tensor, phase: Phase) -> Tensor:
        """What the agent is shown: (B, S*C, H, W) in 0..255, or what `channels` says for S*C.

        Args:
            stacks: (B, S*C, H, W) uint8, the oldest frame first.
            masks: (B, S, H, W) uint8 in {0, 1}, of each of these frames.
        """
        return stacks

    def shown(self, batch: Batch) -> Tensor:
        """What the agent is shown of a mini-batch: `observe` of its stacks, or the same from what
        `rollout` has made for it."""
        return self.observe(batch.stacks, batch.masks, "learn")

    def judged(self, output: Output, stacks: Tensor, masks: Tensor) -> Output:
        """The forward of what is shown; a critic of the method's own replaces its `value` (B,).

        PPO learns from it and bootstraps with it. stacks, masks: as of `observe`.
        """
        return output

    def act(
        self, agent: Network, stacks: Tensor, masks: Tensor, phase: Phase = "act", **how: Any
    ) -> Output:
        """No hook: the agent's forward as it plays, made of those above."""
        return self.judged(agent(self.observe(stacks, masks, phase), **how), stacks, masks)

    def rollout(self, storage: RolloutStorage) -> tuple[Any, dict[str, float]]:
        """Targets made once a rollout, and what to log of it.

        The targets are None, or indexed by samples t * N + n, as a Tensor (T*N, ...) is.
        """
        return None, {}

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor | None, Log]:
        """A mini-batch's loss beside PPO's, a scalar, and what to log (see `entries.py`).

        `output` is the forward of `batch.shown`, which `observe` made of `batch.stacks`; another
        one is agent(stacks, memory=batch.memory), which a recurrent agent needs. The hook is
        called without autocast: see `Context.autocast`.
        """
        return None, {}

    def state_dict(self) -> dict[str, Any]:
        """What else changes from update to update: tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`; called after `prepare`."""

    def close(self) -> None:
        """Once, when the run has ended or failed: end what `prepare` or a hook has started."""
