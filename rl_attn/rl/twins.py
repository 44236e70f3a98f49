"""The same episodes under other looks, frame beside frame: what does the agent do differently?

A twin is an episode with the same seed and the same actions, those that the agent takes in the
plain look, under another look (`rl_attn.envs.variations`). The game is the same one, tic for tic:
whatever the agent would do differently there, it would do because of the look. That rewards, masks
and ends agree is checked at every step; an episode in which they do not is no twin and left out.

For each frame, where p and V are the policy and the value in the plain look, q and W in the other:

    flip          the likeliest action of q is not that of p (NaN for continuous actions)
    kl            KL(p || q)
    value_change  |V - W| / standard deviation of V over all plain frames
    iou_plain, iou    of attention and mask, where there is a target
    pixels        share of the picture that the look changes
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rl_attn.agents import Network, RolloutStorage
from rl_attn.envs.protocol import Step, Steps
from rl_attn.envs.variations import Variation, Variations
from rl_attn.rl.held_out import variations_of
from rl_attn.rl.methods import Method
from rl_attn.rl.play import Moment, Player, advance, choose_actions, see, storage_of
from rl_attn.statistics import Interval, mean_interval

MEASURES = ("flip", "kl", "value_change", "iou_plain", "iou", "pixels")


@dataclass
class Twin:
    """One episode under one look; its measures are means over its frames."""

    seed: int
    axis: str
    look: str
    parted: str = ""  # at which step what was not the same: then it is no twin
    flip: float = np.nan
    kl: float = np.nan
    value_change: float = np.nan
    iou_plain: float = np.nan
    iou: float = np.nan
    pixels: float = np.nan
    frames: list[dict[str, float]] = field(default_factory=list, repr=False)
    values: list[float] = field(default_factory=list, repr=False)  # V, of the plain look


def play_twins(
    player: Player,
    seeds: Sequence[int],
    looks: dict[str, list[Variation]],
    *,
    look: Callable[[Moment], None] | None = None,
    progress: Callable[[int], None] | None = None,
    **how: Any,
) -> list[Twin]:
    """Each seed's episode beside its twins under each of the looks (by axis).

    The first looks of all axes are played together, then the second ones, ..., each time beside
    the plain episode. look: shown every step of the first seed's episode beside the first looks,
    the plain one in front. progress: told at every step how many episodes are done. how: as in
    `play`.
    """
    environment, known = player.environment, variations_of(player)
    how = player.shown | how
    twins: list[Twin] = []
    for number, group in enumerate(groups(looks)):
        with environment.start(1 + len(group)) as lanes:
            for index, seed in enumerate(seeds):
                named = [Twin(seed, axis, known.name(v)) for axis, v in group]
                variations = [variation for _, variation in group]
                shown = look if number == index == 0 else None
                tick = partial(progress, number * len(seeds) + index) if progress else None
                play_beside(player.agent, lanes, named, variations, look=shown, tick=tick, **how)
                twins += named
    if progress:
        progress(len(seeds) * len(groups(looks)))
    _average(twins)
    return twins


def groups(looks: dict[str, list[Variation]]) -> list[list[tuple[str, Variation]]]:
    """(axis, look) of the first looks of all axes, of the second ones, ..."""
    pairs = [[(axis, variation) for variation in listed] for axis, listed in looks.items()]
    return [[pair for pair in row if pair is not None] for row in zip_longest(*pairs)]


def play_beside(
    agent: Network,
    lanes: Steps,
    twins: Sequence[Twin],
    variations: Sequence[Variation],
    *,
    greedy: bool = False,
    target: str = "value",
    attention: str = "grad-cam",
    stack: int = 4,
    look: Callable[[Moment], None] | None = None,
    tick: Callable[[], object] | None = None,
    method: Method | None = None,
) -> None:
    """One episode of the twins' seed in `1 + len(twins)` lanes, the first one plain.

    All lanes get the action that the agent takes in the plain look; a recurrent agent remembers
    each lane as it looked there. Fills the twins' frames.
    """
    seed, count = twins[0].seed, lanes.num_lanes
    storage, random = storage_of(agent, lanes, stack), np.random.default_rng(seed)
    lanes.reset(*storage.inbox(0), seeds=[seed] * count, variations=[{}, *variations])
    storage.deliver(0)
    _part(twins, storage, None, "in the first frame")
    over, steps = False, 0
    rewards, returns = np.zeros((2, count))
    while not over:
        moment = see(agent, storage, [0] * count, [random] * count, target, attention, method)
        storage.remember(0, slice(None), moment.output.recall)
        moment.rewards, moment.returns = rewards, returns
        _compare(twins, moment)
        action = choose_actions(moment.output.policy[:1], [random], greedy)
        moment.actions = action.expand(count, *action.shape[1:])
        if look:
            look(moment)
        if tick:
            tick()
        step = advance(agent, lanes, storage, moment.actions)
        rewards, returns = step.rewards, returns + step.rewards
        steps += 1
        over = bool(step.terminated[0] or step.truncated[0])
        _part(twins, storage, step, f"after {steps} steps")


def _part(twins: Sequence[Twin], storage: RolloutStorage, step: Step | None, when: str) -> None:
    """Note which twins have become other episodes than the plain one, in lane 0."""
    masks = storage.masks[0].cpu().numpy()
    for lane, twin in enumerate(twins, start=1):
        twin.parted = twin.parted or _difference(lane, masks, step, when)


def _difference(lane: int, masks: np.ndarray, step: Step | None, when: str) -> str:
    first, other = masks[0], masks[lane]
    if step is not None:
        if any(episode.fault and episode.lane in (0, lane) for episode in step.episodes):
            return f"{when}: the game died"
        if step.rewards[lane] != step.rewards[0]:
            return f"{when}: reward {step.rewards[lane]:g}, not {step.rewards[0]:g}"
        ends = [(bool(step.terminated[i]), bool(step.truncated[i])) for i in (0, lane)]
        if ends[0] != ends[1]:
            return f"{when}: only one of the two has ended"
        if any(ends[0]):  # `masks` are the next episode's; one that has terminated has no last one
            first, other = (step.final_masks.get(i, masks[:0]) for i in (0, lane))
    return "" if np.array_equal(first, other) else f"{when}: another mask"


def _compare(twins: Sequence[Twin], moment: Moment) -> None:
    """Add this frame to the twins' measures."""
    measured = moment.measures
    iou = torch.where(measured["present"], measured["iou"].double(), torch.nan).cpu()
    policy = moment.output.policy.to("cpu", torch.float64)
    value = moment.output.value.double().cpu()
    modes, count = policy.mode(), len(twins)
    flips = (modes[1:] != modes[:1]).reshape(count, -1).any(1).double()
    if modes.is_floating_point():
        flips[:] = torch.nan
    changed = (moment.frames[1:] != moment.frames[:1]).any(-1).reshape(count, -1).mean(1)
    columns = {
        "flip": flips,
        "kl": policy[[0] * count].kl(policy[1:]),
        "value_change": (value[1:] - value[0]).abs(),
        "iou_plain": iou[:1].expand(count),
        "iou": iou[1:],
        "pixels": torch.from_numpy(changed),
    }
    rows = torch.stack([columns[name] for name in MEASURES], dim=1).tolist()
    for twin, row in zip(twins, rows, strict=True):
        twin.frames.append(dict(zip(MEASURES, row, strict=True)))
        twin.values.append(float(value[0]))


def _average(twins: Sequence[Twin]) -> None:
    """Each twin's means over its frames; changes of V in units of V's spread."""
    values = [value for twin in twins if not twin.parted for value in twin.values]
    spread = float(np.std(values)) if values else 0.0
    for twin in twins:
        if twin.parted:
            continue
        for name in MEASURES:
            setattr(twin, name, mean_interval([frame[name] for frame in twin.frames]).mean)
        twin.value_change = twin.value_change / spread if spread else np.nan


def summary(twins: Sequence[Twin]) -> dict[str, dict[str, Interval]]:
    """By axis: each measure's mean over episodes, each with its mean over looks.

    Looks of one episode are not independent of each other, so that the intervals are over episodes.
    """
    result = {}
    for axis in dict.fromkeys(twin.axis for twin in twins):
        whole = [twin for twin in twins if twin.axis == axis and not twin.parted]
        seeds = dict.fromkeys(twin.seed for twin in whole)
        result[axis] = {
            name: mean_interval(
                [
                    mean_interval([getattr(t, name) for t in whole if t.seed == seed]).mean
                    for seed in seeds
                ]
            )
            for name in MEASURES
        }
    return result


def as_dict(twins: Sequence[Twin], known: Variations) -> dict[str, Any]:
    """All of it, for JSON."""
    means = {
        axis: {
            "changes_targets": axis in known.target_axes,
            **{name: interval._asdict() for name, interval in measured.items()},
        }
        for axis, measured in summary(twins).items()
    }
    return {"axes": means, "twins": [_row(twin) for twin in twins if not twin.parted]} | {
        "no_twins": [
            {"seed": twin.seed, "look": twin.look, "reason": twin.parted}
            for twin in twins
            if twin.parted
        ]
    }


def write_csv(twins: Sequence[Twin], path: Path) -> None:
    """A line for each episode and look."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["seed", "axis", "look", *MEASURES, "parted"])
        writer.writeheader()
        writer.writerows({**_row(twin), "parted": twin.parted} for twin in twins)


def _row(twin: Twin) -> dict[str, Any]:
    names = ("seed", "axis", "look", *MEASURES)
    return {name: value for name, value in asdict(twin).items() if name in names}
