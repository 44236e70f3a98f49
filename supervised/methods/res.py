"""RES: supervision by imperfect annotations (Gao et al. 2022, KDD).

The map is compared with the labels through a threshold and some slack, and with an imputed map: a
blur of the labels (RES-G) or a learned convolution of them (RES-L). The threshold is searched in
each batch, so a sample's loss depends on its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.errors import UserError
from rl_attn.supervised.methods.grad_cam import HalfGradientMethod
from rl_attn.supervised.methods.gradia import RES_RECIPE

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rl_attn.supervised.batches import Batch


@dataclass
class Res(HalfGradientMethod):
    """What RES-G and RES-L share."""

    separable: ClassVar[bool] = False
    recipes: ClassVar[dict[str, dict[str, Any]]] = {"": RES_RECIPE}

    slack: float = 0.1
    """disagreement with the labels that costs nothing"""

    def check(self, settings: Any) -> None:
        if self.slack < 0:
            raise UserError(f"--slack must be 0 or more, got {self.slack}")


@dataclass
class ResG(Res):
    """Cross-entropy + weight * (disagreement beyond the slack + distance to the blurred mask)."""

    name: ClassVar[str] = "res-g"

    def penalty(self, attention: Tensor, batch: Batch) -> Tensor:
        from rl_attn.attention import res_g, signed_labels

        return res_g(attention, signed_labels(batch.masks, batch.known), slack=self.slack)


@dataclass
class ResL(Res):
    """Cross-entropy + weight * (disagreement beyond the slack + distance to a learned map)."""

    name: ClassVar[str] = "res-l"

    def module(self, size: tuple[int, int], grid: tuple[int, int]) -> nn.Module:
        from rl_attn.supervised.imputation import FittedImputation

        self.imputation = FittedImputation(size, grid)
        return self.imputation

    def penalty(self, attention: Tensor, batch: Batch) -> Tensor:
        from rl_attn.attention import res_l, signed_labels

        labels = signed_labels(batch.masks, batch.known)
        return res_l(attention, labels, self.imputation, slack=self.slack)
