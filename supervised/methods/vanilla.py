"""Vanilla: cross-entropy and no word on attention, the baseline of every table."""

from dataclasses import dataclass
from typing import ClassVar

from rl_attn.supervised.methods.base import Method


@dataclass
class Vanilla(Method):
    """Cross-entropy alone."""

    name: ClassVar[str] = "vanilla"
    needs_masks: ClassVar[bool] = False

    def needs_features(self) -> bool:
        return False
