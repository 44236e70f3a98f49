"""Does what an agent attends to decide what it does?

CAMAL measures faithfulness for classifiers only, since "the model's output may depend on future
states" in reinforcement learning (section 4.2). Two tests answer for agents:

- `frame_curves`: on single frames, remove (or insert) pixels in the order of attention and follow
  the value V(s) and how far the policy moves, KL(policy on the true frames || policy on the
  disturbed ones). Removed pixels are 0, as in the paper; the order "random" is the baseline.
- `Removal`: in closed loop, the agent plays whole episodes while its most attended pixels (or as
  many in the same shape elsewhere, as many scattered ones, everything but the targets, or the
  targets) are missing from every frame that it gets.

A pixel is removed from all frames of the stack: attention is one map for the whole stack. Targets
are removed where each frame has them. What is removed is missing before a method shows the agent
anything: a gate has to do without it, too. What a recurrent agent remembers is held fixed on single
frames; in closed loop it remembers what it saw.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from rl_attn.agents import Memory, Network
from rl_attn.attention import deletion, insertion
from rl_attn.attention.cells import size_of
from rl_attn.attention.curves import pixel_ranks
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.augment import masked
from rl_attn.rl.methods import Method
from rl_attn.rl.play import Moment, act, shown_of

#: Pixels of a frame and attention levels scored at once.
_BATCH = 256

Mode = Literal["attended", "shifted", "random", "outside_mask", "mask"]
MODES: tuple[Mode, ...] = get_args(Mode)


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
    agent: Network,
    stacks: Tensor,
    target: str = "value",
    points: int = 21,
    attention: str = "grad-cam",
    memory: Memory | None = None,
    method: Method | None = None,
    masks: Tensor | None = None,
) -> Curves:
    """Removal and insertion on frames, whole batches at once.

    Args:
        stacks: (B, S*C, H, W) uint8, as the environment gave them.
        points: shares of pixels, evenly from 0 to 1.
        attention: which map, by its name in MAPS.
        memory: what a recurrent agent remembers at each frame.
        method: decides what the agent is shown, with `masks` (B, S, H, W); default: the stacks.

    Returns:
        Curves named "<removal|insertion>_<attended|random>_<value|kl>". Faithful attention has a
        removal KL that rises faster, and an insertion KL that falls faster, than random order has.
        A dead map's are those of random order.
    """
    if masks is None:
        masks = stacks.new_zeros(len(stacks), 1, *size_of(stacks))
    shown = shown_of(method, stacks, masks)
    maps, output = attention_maps(agent, shown, target, attention=attention, memory=memory)
    attended = maps.upsample(size_of(stacks))
    random = torch.rand(attended.shape, generator=torch.Generator().manual_seed(0))
    true = output.policy

    def reaction(frames: Tensor, rows: Tensor) -> Tensor:
        """(N, 2): the value, and how far the policy moves."""
        disturbed = act(agent, method, frames, masks[rows], output.held_memory(rows))
        return torch.stack([disturbed.value, true[rows].kl(disturbed.policy)], 1)

    values = {}
    for name, order in (("attended", attended), ("random", random.to(attended.device))):
        for action, curve_of in (("removal", deletion), ("insertion", insertion)):
            curve = curve_of(reaction, stacks, order, points=points, batch_size=_BATCH)
            for measured, column in zip(("value", "kl"), curve.values.unbind(2), strict=True):
                mean = column.T.contiguous().mean(1).cpu().numpy()  # (P,)
                values[f"{action}_{name}_{measured}"] = mean.astype(np.float64)
    return Curves(np.linspace(0, 1, points), values)


class Removal:
    """Takes pixels out of every frame that the policy sees; a `disturb` for `play`.

    Args:
        mode: "attended" removes the most attended `share` of the pixels, "shifted" the same shape
            at another place, drawn anew each step, "random" as many scattered ones. "outside_mask"
            removes all that do not belong to a target, "mask" all that do. Where nothing is
            attended "attended" and "shifted" are scattered, too. What is removed is black: a target
            leaves its outline where the ground is not.
    """

    def __init__(self, mode: Mode, share: float = 0.1):
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")
        self.mode, self.share = mode, share

    def __call__(self, moment: Moment) -> Tensor:
        return masked(moment.stacks, self._kept(moment))

    def _kept(self, moment: Moment) -> Tensor:
        """(N, S, H, W) bool."""
        if self.mode == "outside_mask":
            return moment.mask_stacks > 0
        if self.mode == "mask":
            return moment.mask_stacks == 0
        scores = moment.attention
        ties, shifts = np.zeros(scores.shape), {}
        for lane, generator in enumerate(moment.random):
            if generator is not None:  # a child: the actions' noise stays what it is
                own = generator.spawn(1)[0]
                ties[lane] = own.random(ties.shape[1:])
                shifts[lane] = tuple(own.integers(1, ties.shape[1:]))
        random = torch.from_numpy(ties).to(scores.device)
        kept = pixel_ranks(random if self.mode == "random" else scores, random)
        kept = kept >= round(self.share * scores[0].numel())
        if self.mode == "shifted":
            for lane, shift in shifts.items():
                kept[lane] = kept[lane].roll(shift, (0, 1))
        return kept[:, None].expand_as(moment.mask_stacks)
