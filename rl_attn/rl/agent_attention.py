"""What an agent attends to: the maps of one forward, and a sample of a rollout with its IoU."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rl_attn.agents import Memory, Network, Output, RolloutStorage
from rl_attn.agents.heads import Categorical
from rl_attn.attention import Attention, Seen, explain, iou
from rl_attn.attention.cells import size_of
from rl_attn.pictures import grid, side_by_side
from rl_attn.rl.methods import Phase


@dataclass(frozen=True)
class AttentionSample:
    """Frames of a rollout with their masks and maps; `iou` is the mean over visible targets."""

    frames: np.ndarray  # (B, H, W, C) uint8
    masks: np.ndarray  # (B, H, W) uint8
    attention: np.ndarray  # (B, H, W) in [0, 1], as `Attention.faded`
    iou: float  # NaN where no frame shows a target

    @property
    def visible(self) -> int:
        """Frames that show a target."""
        return int(self.masks.any(axis=(1, 2)).sum())

    def picture(self, rows: int = 4) -> np.ndarray:
        """RGB uint8; frames with a target come first."""
        order = np.argsort(~self.masks.any(axis=(1, 2)), kind="stable")[:rows]
        return grid(
            [
                side_by_side(self.frames[i], self.masks[i], self.attention[i], bar=True)
                for i in order
            ]
        )


def attention_maps(
    agent: Network,
    stacks: Tensor,
    target: str,
    actions: Tensor | None = None,
    attention: str = "grad-cam",
    memory: Memory | None = None,
) -> tuple[Attention, Output]:
    """Maps without a graph, and the forward they come from.

    Args:
        stacks: (B, S*C, H, W) uint8.
        target: "value", or "action" for the logit of `actions` (B,), by default the likeliest.
        attention: which map, by its name in MAPS.
        memory: what a recurrent agent remembers at each of these samples.
    """
    with torch.enable_grad():
        output = agent(stacks, shift=True, memory=memory)
        seen = seen_by(agent, output, stacks, target, actions)
        maps = explain(attention, seen, second_order=False)
    return maps.detach(), output.detach()


def seen_by(
    agent: Network, output: Output, stacks: Tensor, target: str, actions: Tensor | None = None
) -> Seen:
    """What maps of a forward are made of, each sample's of its own frame alone, what is remembered
    being held fixed; arguments as of `attention_maps`."""
    output = agent.held(output)
    actions = output.policy.mode() if actions is None else actions
    discrete = target == "action" and isinstance(output.policy, Categorical)

    def score_of(images: Tensor, rows: Tensor) -> Tensor:
        other = agent(images, memory=output.held_memory(rows))
        return attention_score(other, actions[rows], target)

    def logits_of(images: Tensor) -> Tensor:
        return agent(images).policy.parameters

    return Seen(
        score=attention_score(output, actions, target),
        features=output.features,
        cells=agent.cells,
        shift=output.shift,
        logits=output.policy.parameters if discrete else None,
        labels=actions,
        images=stacks,
        score_of=score_of,
        logits_of=logits_of if discrete else None,
    )


def attention_score(output: Output, actions: Tensor | None, target: str) -> Tensor:
    """The scalar (B,) whose attention is meant: V(s), or the logit of an action."""
    if target == "value":
        return output.value
    return output.policy.score(output.policy.mode() if actions is None else actions)


def attention_sample(
    agent: Network,
    storage: RolloutStorage,
    target: str,
    size: int = 64,
    attention: str = "grad-cam",
    observe: Callable[[Tensor, Tensor, Phase], Tensor] | None = None,
) -> AttentionSample:
    """Attention on up to `size` observations, spread evenly over the rollout.

    Args:
        observe: what the agent is shown of stacks and masks, a method's hook; default: the stacks.
    """
    total = storage.num_steps * storage.num_lanes
    chosen = np.linspace(0, total - 1, min(size, total)).astype(np.int64)
    steps, lanes = np.divmod(chosen, storage.num_lanes)
    rows = storage.rows(steps, lanes)
    stacks = storage.stacks(rows)
    if observe:
        with torch.no_grad():
            stacks = observe(stacks, storage.mask_stacks(rows), "evaluate")
    actions, memory = storage.actions[steps, lanes], storage.recall(steps, lanes)
    maps, _ = attention_maps(agent, stacks, target, actions, attention, memory)
    masks = storage.masks[steps, lanes]
    full = maps.upsample(size_of(masks))
    visible = (masks > 0).flatten(1).any(dim=1)
    overlap = iou(full[visible], masks[visible]).mean().item() if visible.any() else np.nan
    frames = storage.frames[steps + storage.stack - 1, lanes]
    drawn = maps.faded(size_of(masks)).cpu().numpy()
    return AttentionSample(frames.cpu().numpy(), masks.cpu().numpy(), drawn, overlap)
