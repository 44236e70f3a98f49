"""Masked input: the agent sees the targets and nothing else, also when it is evaluated.

What perfect attention could be worth: an upper bound, which needs the mask at test. VAI, MaDi and
FTD feed agents such frames with masks that they predict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rl_attn.rl.methods import METHODS, Method

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.rl.methods import Phase


@METHODS.register("masked-input")
@dataclass
class MaskedInput(Method):
    """Train a PPO agent on frame times mask: what perfect attention could be worth."""

    needs_masks: ClassVar[bool] = True

    def observe(self, stacks: Tensor, masks: Tensor, phase: Phase) -> Tensor:
        from rl_attn.rl.augment import masked

        return masked(stacks, masks)
