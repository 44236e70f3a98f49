"""DrAC with the twin's frame: another look of the same moment should change nothing.

The view of a state is no augmentation of its frame, but what the game itself draws in another look
(`--twin-looks`, one an episode): a second set of games plays the same episodes, with the same seeds
and actions. That costs the games a second time. The loss is `drac`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.errors import UserError
from rl_attn.rl.methods import METHODS, Method
from rl_attn.run.settings import NotNegative

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.agents import Network, Output, RolloutStorage
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log
    from rl_attn.rl.settings import AgentSettings
    from rl_attn.rl.twin_lanes import TwinLanes, Twins


@METHODS.register("drac-twin")
@dataclass
class DracTwin(Method):
    """Train a PPO agent to whom another look of the same game changes nothing."""

    uses_value: ClassVar[bool] = True

    drac: NotNegative[float] = 0.1
    """weight of the loss that keeps policy and value the same in the other look"""
    twin_looks: str = "train:all"
    """the other looks, as --looks has them"""

    def check(self, settings: AgentSettings) -> None:
        from rl_attn.envs.registry import find

        if not self.twin_looks:
            raise UserError("--twin-looks must name looks, such as train:all")
        try:
            find(replace(settings, looks=self.twin_looks))
        except UserError as error:
            raise UserError(f"--twin-looks: {error}") from None

    def refuses(self, other: Method, before: bool) -> str:
        return "the agent sees the twins' frames as they are" if other.shows else ""

    def prepare(self) -> None:
        if self.context.ranks.size > 1:
            raise UserError(
                f"--method drac-twin works in one process, not {self.context.ranks.size}"
            )
        self.twins: TwinLanes | None = None

    def begin(self) -> TwinLanes:
        """The second set of games."""
        from rl_attn.rl.twin_lanes import TwinLanes

        self.twins = TwinLanes(self.context.settings, self.twin_looks, self.context.device)
        return self.twins

    def rollout(self, storage: RolloutStorage) -> tuple[Twins, dict[str, float]]:
        twins = self.twins or self.begin()
        followed = twins.follow(storage, self.context.agent.head)
        return followed, {"consistency/parted": float(twins.parted.mean())}

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor, Log]:
        from rl_attn.rl.consistency import consistency

        stacks, kept = batch.targets
        with self.context.autocast():
            view = agent(stacks, memory=batch.memory)
        loss, logged = consistency(agent, output, view, kept)
        return self.drac * loss, logged

    def state_dict(self) -> dict[str, Any]:
        return {} if self.twins is None else self.twins.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.begin().load_state_dict(state)

    def close(self) -> None:
        if self.twins is not None:
            self.twins.close()
