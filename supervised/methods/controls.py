"""CAMAL with masks that are wrong on purpose: is it the mask that helps, or any pressure?

Each picture keeps its wrong mask for the whole run (`rl_attn.attention.controls`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rl_attn.supervised.methods.camal import Camal

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class WrongMasks(Camal):
    """CAMAL on masks that are drawn from the seed."""

    #: Every seed draws masks of its own.
    separable: ClassVar[bool] = False
    masks_alone: ClassVar[bool] = False

    def annotations(self, masks: Tensor, seed: int) -> Tensor:
        import torch

        return self.wrong(masks, torch.Generator().manual_seed(seed))

    def wrong(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        raise NotImplementedError


@dataclass
class CamalRandom(WrongMasks):
    """CAMAL, the mask's area in patches at random places."""

    name: ClassVar[str] = "camal-random"

    blob: int = 4
    """radius of the patches in pixels (0: single pixels)"""

    def wrong(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        from rl_attn.attention import random_control

        return random_control(masks, generator, self.blob)


@dataclass
class CamalShifted(WrongMasks):
    """CAMAL, each mask moved to another place."""

    name: ClassVar[str] = "camal-shifted"

    def wrong(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        from rl_attn.attention import shifted_control

        return shifted_control(masks, generator)


@dataclass
class CamalSwapped(WrongMasks):
    """CAMAL, each picture with another picture's mask."""

    name: ClassVar[str] = "camal-swapped"

    def wrong(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        from rl_attn.attention import swapped_control

        return swapped_control(masks, generator)


@dataclass
class CamalUniform(WrongMasks):
    """CAMAL, each mask spread evenly over its picture: the loss is 0, the cost is not."""

    name: ClassVar[str] = "camal-uniform"

    def wrong(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        from rl_attn.attention import uniform_control

        return uniform_control(masks).round().to(torch.uint8)
