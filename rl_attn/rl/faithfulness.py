"""Does what an agent attends to decide what it does?

CAMAL measures faithfulness for classifiers only, since "the model's output may depend on future
states" in reinforcement learning (section 4.2). Two tests answer for agents:

- `frame_curves`: on single frames, remove (or insert) pixels in the order of attention and follow
  the value V(s) and how far the policy moves, KL(policy on the true frames || policy on the
  disturbed ones). Removed pixels are 0, as in the paper; the order "random" is the baseline.
- `Removal`: in closed loop, the agent plays whole episodes while its most attended pixels (or as
  many random ones, or everything but the targets) are missing from every frame it sees.

A pixel is removed from all frames of the stack: attention is one map for the whole stack.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rl_attn.agents import ActorCritic
from rl_attn.rl.play import Moment
from rl_attn.rl.watch import attention_maps

#: Pixels of a frame and attention levels scored at once.
_BATCH = 256

Mode = Literal["attended", "random", "outside_mask"]


@dataclass(frozen=True)
class Curves:
    """Means over frames at each share of pixels removed or inserted, and the areas under them."""

    shares: np.ndarray  # (P,) from 0 to 1
    values: dict[str, np.ndarray]  # name -> (P,), see `frame_curves`

    def areas(self) -> dict[str, float]:
        """Trapezoidal area under each curve."""
        return {k: float(np.trapezoid(v, self.shares)) for k, v in self.values.items()}

    def as_dict(self) -> dict[str, object]:
        return {
            "shares": self.shares.tolist(),
            **{name: curve.tolist() for name, curve in self.values.items()},
            "areas": self.areas(),
        }


def frame_curves(
    agent: ActorCritic, stacks: Tensor, target: str = "value", points: int = 21, seed: int = 0
) -> Curves:
    """Removal and insertion on frames, whole batches at once.

    Args:
        stacks: (B, S*C, H, W) uint8.
        points: shares of pixels, evenly from 0 to 1.

    Returns:
        Curves named "<removal|insertion>_<attended|random>_<value|kl>". Faithful attention has a
        removal KL that rises faster, and an insertion KL that falls faster, than random order has.
    """
    attention, _ = attention_maps(agent, stacks, target)
    random = torch.rand(attention.shape, generator=torch.Generator().manual_seed(seed))
    shares = np.linspace(0, 1, points)
    values = {}
    for name, order in (("attended", attention), ("random", random.to(attention.device))):
        ranks = pixel_ranks(order)
        for action in ("removal", "insertion"):
            value, kl = _curve(agent, stacks, ranks, shares, insert=action == "insertion")
            values[f"{action}_{name}_value"], values[f"{action}_{name}_kl"] = value, kl
    return Curves(shares, values)


def pixel_ranks(attention: Tensor) -> Tensor:
    """(B, H, W) int64: 0 for the most attended pixel; ties in reading order."""
    flat = attention.flatten(1)
    order = flat.argsort(dim=1, descending=True, stable=True)
    ranks = torch.empty_like(order)
    ranks.scatter_(1, order, torch.arange(flat.shape[1], device=flat.device).expand_as(order))
    return ranks.view_as(attention)


@torch.no_grad()
def _curve(
    agent: ActorCritic, stacks: Tensor, ranks: Tensor, shares: np.ndarray, insert: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean value and mean KL (P,) when the first share of the ranked pixels is out (or in)."""
    pixels = ranks.shape[1] * ranks.shape[2]
    counts = torch.from_numpy(np.round(shares * pixels)).to(ranks.device)
    true = agent(stacks).policy
    samples = torch.arange(len(stacks), device=ranks.device).repeat(len(shares))  # (P*B,)
    levels = counts.repeat_interleave(len(stacks))  # (P*B,)
    values, kls = [], []
    for some, level in zip(samples.split(_BATCH), levels.split(_BATCH), strict=True):
        first = ranks[some] < level[:, None, None]  # (b, H, W)
        kept = first if insert else ~first
        output = agent(stacks[some] * kept[:, None])
        values.append(output.value)
        kls.append(true[some].kl(output.policy))
    shape = (len(shares), len(stacks))
    value, kl = (torch.cat(parts).view(shape).mean(1).cpu().numpy() for parts in (values, kls))
    return value.astype(np.float64), kl.astype(np.float64)


class Removal:
    """Takes pixels out of every frame that the policy sees; a `disturb` for `play`.

    Args:
        mode: "attended" removes the most attended `share` of the pixels, "random" as many at
            random, "outside_mask" all that do not belong to a target now.
    """

    def __init__(self, mode: Mode, share: float = 0.1):
        if mode not in ("attended", "random", "outside_mask"):
            raise ValueError(f"unknown mode {mode!r}: choose attended, random or outside_mask")
        self.mode, self.share = mode, share

    def __call__(self, moment: Moment) -> Tensor:
        return moment.stacks * self._kept(moment)[:, None]

    def _kept(self, moment: Moment) -> Tensor:
        """(N, H, W) bool."""
        if self.mode == "outside_mask":
            return moment.masks > 0
        scores = moment.attention
        if self.mode == "random":
            scores = _random_scores(moment).to(scores.device)
        count = round(self.share * scores.shape[1] * scores.shape[2])
        return pixel_ranks(scores) >= count


def _random_scores(moment: Moment) -> Tensor:
    """Uniform noise (N, H, W), of each lane's own episode."""
    scores = np.zeros(moment.attention.shape)
    for lane, generator in enumerate(moment.random):
        if generator is not None:
            scores[lane] = generator.random(scores.shape[1:])
    return torch.from_numpy(scores)
