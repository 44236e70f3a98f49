"""What is logged of a mini-batch, and how it is averaged: ranks follow that and know no names.

    {"losses/entropy": entropy.mean()}                    # a tensor () is a mean over the samples
    {"attention/alpha": over(alpha, present)}             # a mean over some samples
    {"charts/dropped": summed(dropped)}                   # a number of things

Each rank has a share of a mini-batch; the whole one's entry is made from all ranks' parts
(`Ranks.merged`). An update logs the mean of its mini-batches' entries, and the sum of summed ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Entry:
    """One value and how it joins those of other parts of the mini-batch."""

    value: Tensor  # ()
    weight: float | Tensor = 1.0  # the share of this part's samples that a mean is over
    summed: bool = False


Log = Mapping[str, Tensor | Entry]


def over(values: Tensor, chosen: Tensor) -> Entry:
    """The mean of values (B,) over the samples where `chosen` (B,) is not 0; 0 if there is none."""
    chosen = chosen.float()
    mean = (values * chosen).sum() / chosen.sum().clamp_min(1)
    return Entry(mean, chosen.mean())


def summed(values: Tensor) -> Entry:
    """The sum of values (B,)."""
    return Entry(values.sum(), summed=True)


def entry(value: Tensor | Entry) -> Entry:
    """A bare tensor is a mean over the samples."""
    return value if isinstance(value, Entry) else Entry(torch.as_tensor(value))


def values_of(steps: list[dict[str, Entry]]) -> tuple[list[str], Tensor]:
    """Names, and the values of all mini-batches (M, names) float64 on the CPU, in one transfer."""
    names = list(steps[0])
    rows = [torch.stack([step[name].value.detach() for name in names]) for step in steps]
    return names, torch.stack(rows).double().cpu()
