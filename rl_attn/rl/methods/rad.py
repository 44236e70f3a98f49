"""RAD: augmented frames to learn from (Laskin et al. 2020; random convolution: Lee et al. 2020).

The agent acts on plain frames, so the policy that learns and the one that acted see different
pictures of the same state, which DrAC's authors count against it (Raileanu et al. 2021, 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rl_attn.rl.augmented import Augmented
from rl_attn.rl.methods import METHODS

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.rl.batch import Batch


@METHODS.register("rad")
@dataclass
class Rad(Augmented):
    """Train a PPO agent on augmented frames (Laskin et al. 2020; Lee et al. 2020)."""

    def shown(self, batch: Batch) -> Tensor:
        return self.view(batch.stacks)
