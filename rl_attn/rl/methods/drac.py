"""DrAC: augmentation should change neither policy nor value (Raileanu et al. 2021, Eq. 4-6).

    L = L_PPO + drac * mean(KL(pi(.|s) || pi(.|f(s))) + (V(s) - V(f(s)))^2)

where the agent's output on the plain frame s is the target and has no gradient. With
`--where outside` f leaves the pixels of the targets as they are: EAGLE's idea, with the
environment's mask in place of a learned one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rl_attn.rl.augmented import Augmented
from rl_attn.rl.methods import METHODS
from rl_attn.run.settings import NotNegative

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.agents import Network, Output
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log


@METHODS.register("drac")
@dataclass
class Drac(Augmented):
    """Train a PPO agent that acts alike on augmented frames (Raileanu et al. 2021)."""

    uses_value: ClassVar[bool] = True

    drac: NotNegative[float] = 0.1
    """weight of the loss that keeps policy and value the same on the augmented frame"""
    where: Literal["everywhere", "outside"] = "everywhere"
    """which part of a frame is augmented: all of it, or what is outside the targets' mask"""

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor, Log]:
        from rl_attn.rl.augment import outside
        from rl_attn.rl.consistency import consistency

        view = self.view(batch.shown)
        if self.where == "outside":
            view = outside(batch.shown, view, batch.masks)
        with self.context.autocast():
            other = agent(view, memory=batch.memory)
        loss, logged = consistency(agent, output, other)
        return self.drac * loss, logged
