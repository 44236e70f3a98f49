"""What a uniformly random policy scores on the fixed seeds of evaluations: the floor of a return.

    python -m rl_attn.random_policy --env DefendCenter --out runs/random/DefendCenter

Leaves `evaluation.json` as `rl_attn.evaluate` does, with the raw return, the length, the share of
frames without a target, and the IoU's ceiling at the grid of the agents' maps over the frames that
such a policy sees. Each episode draws its actions from a generator of its own seed, so that the
result does not depend on how many games are played at once.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from rl_attn.agents import cell_centres, feature_grid
from rl_attn.attention import iou_ceiling
from rl_attn.envs.doom.game import screen_resolution
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.scenarios import resolve
from rl_attn.errors import UserError
from rl_attn.rl.play import Played, evaluation_seeds, summarize
from rl_attn.run.cli import parse, run_command
from rl_attn.run.files import write_text

#: What can be said of a policy that has no attention.
NAMES = ("episode_return", "length", "iou_ceiling", "empty_masks")


@dataclass
class Args:
    """Play the evaluation's seeds with uniformly random actions."""

    out: str
    """folder for evaluation.json"""
    env: str = "DefendCenter"
    """which game, see rl_attn.ppo"""
    targets: tuple[str, ...] = ()
    """what counts as a target; empty: the scenario's own"""
    width: int = 160
    """frame width in pixels, which the ceiling depends on"""
    height: int = 120
    """frame height in pixels"""
    frame_skip: int = 4
    """game tics an action is repeated for"""
    episodes: int = 30
    """how many episodes"""
    num_envs: int = 8
    """games played at once; the result does not depend on it"""


def validate(args: Args) -> None:
    """Refuse what cannot work, before any game starts."""
    for name in ("width", "height", "frame_skip", "episodes", "num_envs"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be positive: {getattr(args, name)}")
    try:
        resolve(args.env, args.targets or None)
        screen_resolution((args.width, args.height))
        feature_grid((args.height, args.width))
    except ValueError as error:
        raise UserError(str(error)) from None


def play(args: Args, seeds: Sequence[int]) -> list[Played]:
    """One episode for each seed, in the order of the seeds."""
    results = [Played(seed) for seed in seeds]
    with Lanes(
        args.env,
        min(args.num_envs, len(seeds)),
        resolution=(args.width, args.height),
        frame_skip=args.frame_skip,
        targets=args.targets or None,
        episode_seeds=seeds,
    ) as lanes:
        frames = np.zeros((lanes.num_lanes, *lanes.frame_shape), np.uint8)
        masks = np.zeros((lanes.num_lanes, *lanes.mask_shape), np.uint8)
        current: list[int | None] = list(range(lanes.num_lanes))  # which episode each lane plays
        random = [np.random.default_rng(seed) for seed in seeds]
        lanes.reset(frames, masks)
        while any(index is not None for index in current):
            _look(masks, current, results)
            actions = [0 if i is None else random[i].integers(lanes.num_actions) for i in current]
            for episode in lanes.step(np.array(actions), frames, masks).episodes:
                index = current[episode.lane]
                results[index] = _finished(results[index], episode)
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


def _finished(played: Played, episode: object) -> Played:
    ceilings = [frame["iou_ceiling"] for frame in played.frames if frame["present"]]
    return Played(
        played.seed,
        episode.episode_return,
        episode.length,
        empty_masks=1 - len(ceilings) / len(played.frames),
        iou_ceiling=float(np.mean(ceilings)) if ceilings else float("nan"),
        fault=episode.fault,
    )


def main(argv: list[str]) -> int:
    args = parse(Args, argv, "rl-attn random-policy")
    validate(args)
    summary = summarize(play(args, evaluation_seeds(args.episodes)))
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    results = {
        "arguments": asdict(args),
        "env": args.env,
        "summary": {name: summary[name]._asdict() for name in NAMES},
    }
    write_text(out / "evaluation.json", json.dumps(results, indent=1))
    for name in NAMES:
        print(f"{name.replace('_', ' ')}: {summary[name]}")
    return 0


if __name__ == "__main__":
    run_command(main)
