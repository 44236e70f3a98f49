"""What `rl_attn.random_policy` plays."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector.utils import create_empty_array

from rl_attn.agents import cell_centres, feature_grid
from rl_attn.attention import iou_ceiling
from rl_attn.envs.registry import find
from rl_attn.errors import UserError
from rl_attn.random_policy import RandomPolicySettings
from rl_attn.rl.play import Played, evaluation_seeds, finish, summarize
from rl_attn.run.files import json_text, write_text
from rl_attn.run.folder import make

#: What can be said of a policy that has no attention.
NAMES = ("episode_return", "length", "iou_ceiling", "empty_masks")


def validate(args: RandomPolicySettings) -> None:
    """Refuse what cannot work, before any game starts."""
    try:
        feature_grid(find(args).mask_shape)
    except ValueError as error:
        raise UserError(str(error)) from None


def play(args: RandomPolicySettings, seeds: Sequence[int]) -> list[Played]:
    """One episode for each seed, in the order of the seeds."""
    results = [Played(seed) for seed in seeds]
    with find(args).start(min(args.num_envs, len(seeds)), episode_seeds=seeds) as lanes:
        frames = np.zeros((lanes.num_lanes, *lanes.frame_shape), np.uint8)
        masks = np.zeros((lanes.num_lanes, *lanes.mask_shape), np.uint8)
        current: list[int | None] = list(range(lanes.num_lanes))  # which episode each lane plays
        spaces = [deepcopy(lanes.action_space) for _ in seeds]
        for space, seed in zip(spaces, seeds, strict=True):
            space.seed(seed)
        lanes.reset(frames, masks)
        while any(index is not None for index in current):
            _look(masks, current, results)
            actions: Any = create_empty_array(lanes.action_space, lanes.num_lanes)
            for lane, index in enumerate(current):
                if index is not None:
                    actions[lane] = spaces[index].sample()
            for episode in lanes.step(actions, frames, masks).episodes:
                index = current[episode.lane]
                assert index is not None  # idle lanes end no episodes
                finish(results[index], episode)
                following = index + lanes.num_lanes
                current[episode.lane] = following if following < len(seeds) else None
    return results


def _look(masks: np.ndarray, current: Sequence[int | None], results: Sequence[Played]) -> None:
    """Note the ceiling on each lane's frame, before the action."""
    grid, cells = feature_grid(masks.shape[1:]), cell_centres()
    ceilings = iou_ceiling(torch.from_numpy(masks), grid, cells=cells).tolist()
    for lane, index in enumerate(current):
        if index is not None:
            seen = float(masks[lane].any())
            results[index].frames.append({"present": seen, "iou_ceiling": ceilings[lane]})


def measure(args: RandomPolicySettings) -> int:
    """Play and write evaluation.json; returns the exit status."""
    validate(args)
    out = make(Path(args.out))
    summary = summarize(play(args, evaluation_seeds(args.episodes)))
    results = {
        "arguments": asdict(args),
        "env": args.env,
        "summary": {name: summary[name]._asdict() for name in NAMES},
    }
    write_text(out / "evaluation.json", json_text(results))
    for name in NAMES:
        print(f"{name.replace('_', ' ')}: {summary[name]}")
    return 0
