"""SGQN: the value should depend on its salient pixels, and the features should predict them.

Bertoin et al. 2022 (Look where you look!), carried over from the Q-value of an off-policy agent to
PPO's V(s). M(s) is where the guided backpropagation of V is among its largest (their Eq. 3, each
frame of the stack by itself), and f an augmentation:

    L = L_PPO + sgqn * mean((V(s) - V(s M(s)))^2 + BCE(g(features of f(s)), M(s)))

It takes no masks. Not theirs: the head g is one linear layer at the resolution of the feature maps,
where theirs is a decoder; both terms have one weight and PPO's optimizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Interval

from rl_attn.errors import UserError
from rl_attn.rl.augmented import Augmented
from rl_attn.rl.methods import METHODS
from rl_attn.run.settings import NotNegative

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rl_attn.agents import Network, Output
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log


@METHODS.register("sgqn")
@dataclass
class Sgqn(Augmented):
    """Train a PPO agent guided by its own saliency (Bertoin et al. 2022)."""

    uses_value: ClassVar[bool] = True

    sgqn: NotNegative[float] = 0.1
    """weight of both of SGQN's losses"""
    salient: Annotated[float, Interval(gt=0, lt=1)] = 0.05
    """share of each frame's pixels that count as salient"""

    def prepare(self) -> None:
        from rl_attn.attention.guided import guided_relus

        with guided_relus() as guided:
            self.head = self.context.agent.map_head(self.context.settings.frame_stack)
        if not guided.count:
            raise UserError(
                f"--method sgqn is of networks with ReLU, and --network "
                f"{self.context.settings.network} has none that runs: take --network nature, or "
                "another method"
            )

    def module(self) -> nn.Module:
        return self.head

    def saliency(self, agent: Network, stacks: Tensor, output: Output | None = None) -> Tensor:
        """M(s): 1 where V's guided gradient is among the largest of its frame, (B, S, H, W).

        It is 0 where there is no gradient: all of a frame that V does not depend on.
        What a recurrent agent remembered is that of its `output`, held fixed.
        """
        import torch

        from rl_attn.attention import guided_backpropagation

        def value_of(images: Tensor, rows: Tensor) -> Tensor:
            memory = None if output is None else output.held_memory(rows)
            return agent(images, memory=memory).value

        with self.context.autocast():
            signed = guided_backpropagation(value_of, stacks.float(), second_order=False)
        frames = signed.unflatten(1, (self.context.settings.frame_stack, -1))
        size = frames.abs().amax(2).flatten(2)  # (B, S, H*W)
        kept = max(1, round(self.salient * size.shape[2]))
        least = size.topk(kept, dim=2).values[..., -1:]
        salient = (size >= least) & (size > 0)
        return salient.to(torch.uint8).unflatten(2, tuple(stacks.shape[2:]))

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor, Log]:
        from torch.nn.functional import binary_cross_entropy_with_logits

        from rl_attn.attention import pool_mask
        from rl_attn.rl.augment import masked

        salient = self.saliency(agent, batch.shown, output)
        with self.context.autocast():
            alone = agent(masked(batch.shown, salient), memory=batch.memory).value
            features = agent.maps(self.view(batch.shown))
        consistency = (output.value - alone).square().mean()
        each = pool_mask(salient.flatten(0, 1), agent.grid, agent.cells)  # (B*S, h, w)
        foretold = self.head(features.float())  # (B, S, h, w)
        auxiliary = binary_cross_entropy_with_logits(foretold, each.view_as(foretold))
        logged = {"consistency/salient": consistency, "losses/salient": auxiliary}
        return self.sgqn * (consistency + auxiliary), logged
