"""CAMAL with masks that are wrong on purpose: is it the mask that helps, or any pressure?

Each picture keeps its wrong mask for the whole run (`rl_attn.attention.controls`). A mask that is
spread evenly over its picture is not among them: CAMAL's loss on it is 0 for any map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Interval

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
class CamalNoisy(WrongMasks):
    """CAMAL, masks that are wrong to a degree: the response to the dose of noise."""

    name: ClassVar[str] = "camal-noisy"

    noise: Literal["shift", "erode", "wrong"] = "wrong"
    """masks are moved, shrunk, or another picture's"""
    dose: Annotated[float, Interval(ge=0, le=1)] = 0.5
    """share of the pictures with another's mask, or how far masks are moved or shrunk: at 1 a tenth
    of each stays covered"""

    def wrong(self, masks: Tensor, generator: torch.Generator) -> Tensor:
        from rl_attn.attention import noisy_control

        return noisy_control(masks, generator, self.noise, self.dose)
