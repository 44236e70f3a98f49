"""How sets are prepared: the settings of each, apart from what reads them."""

from dataclasses import dataclass
from typing import Literal

from rl_attn.errors import UserError


@dataclass(frozen=True)
class Lidc:
    """How the patches are cut."""

    readers: int = 1
    """how many must have outlined a nodule"""
    patch: int = 64
    """pixels of a side"""
    negatives: int = 2
    """patches beside each nodule"""
    reach: int = 2
    """how far from it they lie at most, in patches"""
    seed: int = 0
    """where they are drawn"""

    def check(self) -> None:
        if not 1 <= self.readers <= 4:
            raise UserError(f"--lidc.readers is {self.readers}: choose from 1 to 4")
        if min(self.patch, self.reach) < 1 or self.negatives < 0:
            raise UserError(
                "--lidc.patch and --lidc.reach must be at least 1, --lidc.negatives 0 or more"
            )


@dataclass(frozen=True)
class Pancreas:
    """What the masks mark."""

    mask: Literal["pancreas", "tumour"] = "pancreas"
    """all of the pancreas, or of patients the tumour alone"""
