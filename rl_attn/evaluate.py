"""Play a trained agent on fixed seeds: how well it plays, and where it looks.

    python -m rl_attn.evaluate runs/DefendCenter/camal1-s1-...
    python -m rl_attn.evaluate RUN --faithfulness --closed-loop
    python -m rl_attn.evaluate model.zip --env DefendCenter     # of stable-baselines3

Prints one table and leaves beside the checkpoint's run `evaluation.json` (all of it, each episode
included), `evaluation.mp4` (frame, mask and attention side by side) and, with --faithfulness,
`faithfulness.png`. Intervals are 95 %: mean +- 1.96 standard errors over episodes.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import matplotlib
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from rl_attn.attention import MAPS
from rl_attn.envs.registry import EnvSettings
from rl_attn.errors import UserError
from rl_attn.rl.faithfulness import Curves, Removal, frame_curves
from rl_attn.rl.loading import load
from rl_attn.rl.play import Moment, Played, Player, evaluation_seeds, summarize
from rl_attn.rl.video import VideoWriter
from rl_attn.run.cli import parse, run_command
from rl_attn.run.device import keep_freed_memory, pick_device
from rl_attn.run.files import write_text
from rl_attn.run.folder import make
from rl_attn.run.plugins import import_all
from rl_attn.run.settings import OpenShare, PathText, Positive, Threads
from rl_attn.statistics import Interval, mean_interval

matplotlib.use("Agg")
from matplotlib import pyplot as plt


@dataclass
class EvaluationSettings:
    """Play a trained agent on fixed seeds; report its return and its attention."""

    run: Annotated[PathText, tyro.conf.Positional]
    """folder of a run of rl_attn.ppo, or a model.zip of stable-baselines3"""
    checkpoint: PathText = "latest"
    """latest, best, or a checkpoint's path"""
    episodes: Positive[int] = 30
    """how many episodes"""
    policy: Literal["sample", "greedy"] = "sample"
    """draw actions from the policy, or take the likeliest one"""
    attention_target: Literal["value", "action"] | None = None
    """whose attention (default: what the run was trained on)"""
    attention: str | None = None
    """what map it is, by its name as in rl-attn ppo (default: what the run was trained with)"""
    num_envs: Positive[int] = 8
    """games played at once; the results do not depend on it"""
    video: bool = True
    """write a video of the first episode"""
    faithfulness: bool = False
    """remove and insert the most attended pixels on single frames"""
    faithfulness_frames: Positive[int] = 128
    """frames of that test, taken evenly from the episodes"""
    closed_loop: bool = False
    """play again without the most attended pixels, as many random ones, all but the targets"""
    removed_share: OpenShare = 0.1
    """share of the pixels missing in closed loop"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    threads: Threads = 0
    """CPU threads of torch (0: its own choice)"""
    out: PathText | None = None
    """folder for the results (default: the run's, or one beside model.zip)"""
    env: str = ""
    """of model.zip: what it plays, as rl_attn.ppo has it (a run says so itself)"""
    targets: tuple[str, ...] = ()
    """of model.zip: what counts as a target"""
    rgb: bool = False
    """of model.zip: it sees colour frames"""
    frame_skip: Positive[int] = 4
    """of model.zip: game tics an action is repeated for"""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """modules or files that register the environment of model.zip"""


class FrameSampler:
    """Keeps stacks evenly spread over what is played, at most `size`; a `look` for `play`.

    Keeps every stride-th step; when full, drops every second one and doubles the stride.
    """

    def __init__(self, size: int):
        self.size, self.stride, self.seen = size, 1, 0
        self.kept: list[torch.Tensor] = []

    def __call__(self, moment: Moment) -> None:
        for lane, index in enumerate(moment.episode):
            if index is None:
                continue
            if self.seen % self.stride == 0:
                self.kept.append(moment.stacks[lane].clone())
            self.seen += 1
            if len(self.kept) >= 2 * self.size:
                self.kept, self.stride = self.kept[::2], self.stride * 2

    def stacks(self) -> torch.Tensor:
        chosen = np.linspace(0, len(self.kept) - 1, min(self.size, len(self.kept))).astype(int)
        return torch.stack([self.kept[i] for i in chosen])


def closed_loop(
    player: Player,
    args: EvaluationSettings,
    seeds: list[int],
    undisturbed: list[Played],
    how: dict[str, Any],
) -> dict[str, dict[str, Interval]]:
    """Returns with pixels missing, and their paired difference to the undisturbed episodes."""
    before = np.array([episode.episode_return for episode in undisturbed])
    results = {}
    for mode in ("attended", "random", "outside_mask"):
        disturb = Removal(mode, args.removed_share)
        with _bar(f"playing with {mode} pixels missing", len(seeds)) as progress:
            episodes = player.play(args.num_envs, seeds, disturb=disturb, progress=progress, **how)
        after = np.array([episode.episode_return for episode in episodes])
        results[mode] = {
            "episode_return": mean_interval(after),
            "difference": mean_interval(after - before),
        }
    return results


def draw_curves(curves: Curves, path: Path) -> None:
    """Four panels: value and policy under removal and insertion, attended against random."""
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.4), layout="constrained")
    panels = [(a, m) for a in ("removal", "insertion") for m in ("value", "kl")]
    for axis, (action, measure) in zip(axes, panels, strict=True):
        for order, colour in (("attended", "tab:red"), ("random", "tab:gray")):
            name = f"{action}_{order}_{measure}"
            label = f"{order} first (area {curves.areas()[name]:.3g})"
            axis.plot(100 * curves.shares, curves.values[name], color=colour, label=label)
        verb = "removed" if action == "removal" else "inserted"
        axis.set_xlabel(f"pixels {verb} (%)")
        axis.set_title("V(s)" if measure == "value" else "KL from the undisturbed policy")
        axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def report(summary: dict[str, Interval], loops: dict[str, dict[str, Interval]], title: str) -> None:
    table = Table("", "mean", "95 % interval", title=title)
    for name, value in summary.items():
        table.add_row(name.replace("_", " "), f"{value.mean:.3f}", _range(value))
    for mode, values in loops.items():
        for name, value in values.items():
            label = f"{mode.replace('_', ' ')} removed: {name.replace('_', ' ')}"
            table.add_row(label, f"{value.mean:.3f}", _range(value))
    Console().print(table)


def _range(value: Interval) -> str:
    return f"{value.low:.3f} .. {value.high:.3f}"


class _bar:
    """`with _bar(text, total) as progress:` shows progress(done) on the terminal."""

    def __init__(self, text: str, total: int):
        self.bar = Progress(transient=True)
        self.task = self.bar.add_task(text, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self.bar.start()
        return lambda done: self.bar.update(self.task, completed=done)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def check(args: EvaluationSettings) -> None:
    if is_model(args.run):
        if not Path(args.run).is_file():
            raise UserError(f"model {args.run} does not exist")
        if not args.env:
            raise UserError(f"{args.run} does not say what it plays: give --env")
    elif not Path(args.run).is_dir():
        raise UserError(f"run folder {args.run} does not exist")
    elif args.env:
        raise UserError(f"--env {args.env}: the run {args.run} says itself what it plays")


def is_model(path: str) -> bool:
    """Whether it is a model of stable-baselines3, and no run."""
    return path.endswith(".zip")


def player_of(args: EvaluationSettings, device: torch.device) -> Player:
    """The agent of a run or of a model.zip, and what it plays."""
    if not is_model(args.run):
        return load(Path(args.run), args.checkpoint, device)
    from rl_attn.rl.sb3_agent import sb3_player

    import_all(args.imports)
    env = EnvSettings(args.env, args.targets, rgb=args.rgb, frame_skip=args.frame_skip)
    return sb3_player(Path(args.run), device, env)


#: What `main` reads the command line into.
SETTINGS = EvaluationSettings


def main(argv: list[str]) -> int:
    args = parse(EvaluationSettings, argv, "rl-attn evaluate")
    check(args)
    device = pick_device(args.device)
    player = player_of(args, device)
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    out = Path(args.out or args.run.removesuffix(".zip"))
    make(out)
    seeds = evaluation_seeds(args.episodes)
    target = args.attention_target or player.settings.attention_target
    attention = args.attention or player.settings.attention
    MAPS.find(attention)
    how = {"greedy": args.policy == "greedy", "target": target, "attention": attention}
    sampler = FrameSampler(args.faithfulness_frames)
    with ExitStack() as stack:
        looks = [sampler] if args.faithfulness else []
        if args.video:
            fps = player.environment.fps
            looks.append(stack.enter_context(VideoWriter(out / "evaluation.mp4", fps=fps)))
        progress = stack.enter_context(_bar("playing", len(seeds)))
        episodes = player.play(
            args.num_envs,
            seeds,
            look=lambda moment: [look(moment) for look in looks],
            progress=progress,
            **how,
        )
    summary = summarize(episodes)
    results: dict[str, Any] = {
        "arguments": asdict(args),
        "env": player.settings.env,
        "summary": {name: value._asdict() for name, value in summary.items()},
    }
    if args.faithfulness:
        curves = frame_curves(player.agent, sampler.stacks(), target, attention=attention)
        draw_curves(curves, out / "faithfulness.png")
        results["faithfulness"] = curves.as_dict()
    loops = closed_loop(player, args, seeds, episodes, how) if args.closed_loop else {}
    results["closed_loop"] = {
        mode: {name: value._asdict() for name, value in values.items()}
        for mode, values in loops.items()
    }
    results["episodes"] = [{k: v for k, v in asdict(e).items() if k != "frames"} for e in episodes]
    write_text(out / "evaluation.json", json.dumps(results, indent=1))
    report(summary, loops, f"{player.settings.env}, {args.episodes} episodes, {args.policy}")
    return 0


if __name__ == "__main__":
    run_command(main)
