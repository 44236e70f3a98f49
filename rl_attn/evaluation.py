"""What `rl_attn.evaluate` does with an agent: play, look, disturb, and write down."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from rich.table import Table

from rl_attn.agents import Memory
from rl_attn.attention import measure
from rl_attn.envs.registry import EnvSettings
from rl_attn.evaluate import OF_MODEL, EvaluationSettings, is_model
from rl_attn.evaluation_looks import beside_twins, twin_looks, under_looks
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.faithfulness import MODES, Curves, Removal, frame_curves
from rl_attn.rl.held_out import in_wad
from rl_attn.rl.loading import load
from rl_attn.rl.play import Moment, Played, Player, evaluation_seeds, shown_of, summarize
from rl_attn.rl.settings import check_target
from rl_attn.rl.video import VideoWriter
from rl_attn.run.device import keep_freed_memory, pick_device
from rl_attn.run.ending import console, say
from rl_attn.run.files import json_text, write_text
from rl_attn.run.folder import make
from rl_attn.run.plugins import import_all
from rl_attn.run.progress import bar
from rl_attn.statistics import Interval, mean_interval

matplotlib.use("Agg")


class FrameSampler:
    """Keeps stacks evenly spread over what is played, at most `size`; a `look` for `play`.

    Keeps every stride-th step; when full, drops every second one and doubles the stride.
    """

    def __init__(self, size: int):
        self.size, self.stride, self.seen = size, 1, 0
        #: Stack, its masks, what is remembered.
        self.kept: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]] = []

    def __call__(self, moment: Moment) -> None:
        for lane, index in enumerate(moment.episode):
            if index is None:
                continue
            if self.seen % self.stride == 0:
                state = None if moment.memory is None else moment.memory.state[lane].clone()
                seen = moment.stacks[lane].clone(), moment.mask_stacks[lane].clone()
                self.kept.append((*seen, state))
            self.seen += 1
            if len(self.kept) >= 2 * self.size:
                self.kept, self.stride = self.kept[::2], self.stride * 2

    def sample(self) -> dict[str, Any]:
        """Stacks (B, S*C, H, W), their masks (B, S, H, W), and what a recurrent agent remembers at
        each."""
        chosen = np.linspace(0, len(self.kept) - 1, min(self.size, len(self.kept))).astype(int)
        stacks, masks, states = zip(*(self.kept[i] for i in chosen), strict=True)
        memory = None if states[0] is None else Memory(torch.stack(states))
        return {"stacks": torch.stack(stacks), "masks": torch.stack(masks), "memory": memory}


def closed_loop(
    player: Player,
    args: EvaluationSettings,
    seeds: list[int],
    undisturbed: list[Played],
    how: dict[str, Any],
) -> dict[str, dict[str, Interval]]:
    """Returns with pixels missing, and their paired difference to the undisturbed episodes."""
    before = whole_returns(undisturbed)
    results = {}
    for mode in MODES:
        disturb = Removal(mode, args.removed_share)
        with bar(f"playing with {mode} pixels missing", len(seeds)) as progress:
            episodes = player.play(args.num_envs, seeds, disturb=disturb, progress=progress, **how)
        after = whole_returns(episodes)
        results[mode] = {
            "episode_return": mean_interval(after.tolist()),
            "difference": mean_interval((after - before).tolist()),
        }
    return results


def whole_returns(episodes: Sequence[Played]) -> np.ndarray:
    """(E,), NaN for episodes that a fault has cut short: these are left out of every mean."""
    return np.array([np.nan if e.fault else e.episode_return for e in episodes])


def second_map(player: Player, name: str, sample: dict[str, Any]) -> dict[str, float]:
    """Where another map, of the action, lies on sampled frames: means over those with a target."""
    stacks, masks, memory = sample["stacks"], sample["masks"], sample["memory"]
    shown = shown_of(player.method, stacks, masks)
    maps, _ = attention_maps(player.agent, shown, "action", attention=name, memory=memory)
    measured = measure(maps, masks[:, -1])
    present = measured["present"]
    names = ("iou", "iou_ceiling", "pointing_game", "dead_maps")
    return {name: measured[name][present].mean().item() for name in names}


def draw_curves(curves: Curves, path: Path) -> None:
    """Four panels: value and policy under removal and insertion, attended against random."""
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.4), layout="constrained")
    panels = [(a, m) for a in ("removal", "insertion") for m in ("value", "kl")]
    for axis, (action, measured) in zip(axes, panels, strict=True):
        for order, colour in (("attended", "tab:red"), ("random", "tab:gray")):
            name = f"{action}_{order}_{measured}"
            label = f"{order} first (area {curves.areas()[name]:.3g})"
            axis.plot(100 * curves.shares, curves.values[name], color=colour, label=label)
        verb = "removed" if action == "removal" else "inserted"
        axis.set_xlabel(f"pixels {verb} (%)")
        axis.set_title("V(s)" if measured == "value" else "KL from the undisturbed policy")
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
    console().print(table)


def _range(value: Interval) -> str:
    return "-" if np.isnan(value.low) else f"{value.low:.3f} .. {value.high:.3f}"


def player_of(args: EvaluationSettings, device: torch.device) -> Player:
    """The agent of a run or of a model.zip, and what it plays."""
    if not is_model(args.run):
        return load(Path(args.run), args.checkpoint, device)
    from rl_attn.rl.sb3_agent import sb3_player

    import_all(args.imports)
    env = EnvSettings(**{name: getattr(args, name) for name in OF_MODEL})
    return sb3_player(Path(args.run), device, env)


def evaluate(args: EvaluationSettings) -> int:
    """Play, print the table and write the files; returns the exit status."""
    device = pick_device(args.device)
    player = player_of(args, device)
    if args.attention_target:
        check_target(player.settings, args.attention_target)
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    for wad in args.wads:  # refuses what there is not before a game starts
        in_wad(player, wad)
    if args.looks or args.twins:
        twin_looks(player, args)
    if args.second_attention:
        second_map(player, args.second_attention, blank(player))
    out = Path(args.out or args.run.removesuffix(".zip"))
    make(out)
    seeds = evaluation_seeds(args.episodes)
    target = args.attention_target or player.settings.attention_target
    attention = args.attention or player.settings.attention
    how = {"greedy": args.policy == "greedy", "target": target, "attention": attention}
    episodes, sampler = play_plain(player, args, seeds, out, how)
    summary = summarize(episodes)
    results: dict[str, Any] = {
        "arguments": asdict(args),
        "env": player.settings.env,
        "summary": {name: value._asdict() for name, value in summary.items()},
    }
    if args.faithfulness:
        where = {"target": target, "attention": attention, "method": player.method}
        curves = frame_curves(player.agent, **sampler.sample(), **where)
        draw_curves(curves, out / "faithfulness.png")
        results["faithfulness"] = curves.as_dict()
    if args.second_attention:
        results["second_attention"] = second_map(player, args.second_attention, sampler.sample())
    loops = closed_loop(player, args, seeds, episodes, how) if args.closed_loop else {}
    results["closed_loop"] = {
        mode: {name: value._asdict() for name, value in values.items()}
        for mode, values in loops.items()
    }
    if args.looks or args.wads:
        plain = None if player.settings.looks else episodes
        results["looks"] = under_looks(player, args, seeds, plain, out, how)
    if args.twins:
        results["twins"] = beside_twins(player, args, seeds, out, how)
    results["summary"] |= measures(results)
    results["episodes"] = [{k: v for k, v in asdict(e).items() if k != "frames"} for e in episodes]
    write_text(out / "evaluation.json", json_text(results))
    report(summary, loops, f"{player.settings.env}, {args.episodes} episodes, {args.policy}")
    say(
        results=out / "evaluation.json",
        video=out / "evaluation.mp4" if args.video else None,
        curves=out / "faithfulness.png" if args.faithfulness else None,
        twins=out / "twins.mp4" if args.twins and args.video else None,
        next=None if is_model(args.run) else f"rl-attn watch {args.run}",
    )
    return 0


def blank(player: Player) -> dict[str, Any]:
    """A sample of one black frame: what cannot be measured is refused before a game starts."""
    height, width, channels = player.environment.frame_shape
    frames = player.settings.frame_stack
    device = next(player.agent.parameters()).device
    black = torch.zeros(1, frames, height, width, dtype=torch.uint8, device=device)
    return {
        "stacks": black.repeat(1, channels, 1, 1),
        "masks": black,
        "memory": player.agent.blank(1),
    }


def play_plain(
    player: Player, args: EvaluationSettings, seeds: list[int], out: Path, how: dict[str, Any]
) -> tuple[list[Played], FrameSampler]:
    """The episodes as they are, with their video, and frames to measure faithfulness on."""
    sampler = FrameSampler(args.faithfulness_frames)
    with ExitStack() as stack:
        sampled = args.faithfulness or args.second_attention
        looks: list[Callable[[Moment], None]] = [sampler] if sampled else []
        if args.video:
            fps = player.environment.fps
            names = player.environment.action_names
            video = VideoWriter(out / "evaluation.mp4", fps=fps, names=names)
            looks.append(stack.enter_context(video))
        progress = stack.enter_context(bar("playing", len(seeds)))
        episodes = player.play(
            args.num_envs,
            seeds,
            look=lambda moment: [look(moment) for look in looks],
            progress=progress,
            **how,
        )
    return episodes, sampler


def measures(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What the optional parts of an evaluation measured, named by their place in it, for a study.

    Such as `looks/plain/episode_return`, `looks/surfaces/drop`, `looks/drop` (all axes together),
    `twins/surfaces/flip`, `closed_loop/attended/difference`, `second_attention/iou`, and the areas
    under the curves of faithfulness; these two have no interval.
    """
    found: dict[str, dict[str, float]] = {}
    if "looks" in results:  # `episode_return` is of the looks that the agent was trained in
        found["looks/plain/episode_return"] = results["looks"]["plain"]
    for row in results.get("looks", {}).get("rows", ()):
        if not row["look"]:
            place = "/".join(filter(None, ("looks", row["axis"])))
            found |= {f"{place}/{name}": row[name] for name in ("episode_return", "drop")}
    parts = {"twins": results.get("twins", {}).get("axes", {})}
    parts["closed_loop"] = results.get("closed_loop", {})
    for part, sections in parts.items():
        for section, values in sections.items():
            named = {name: value for name, value in values.items() if isinstance(value, dict)}
            found |= {f"{part}/{section}/{name}": value for name, value in named.items()}
    nothing = {"low": math.nan, "high": math.nan}
    for name, area in results.get("faithfulness", {}).get("areas", {}).items():
        found[f"faithfulness/{name}"] = {"mean": area, **nothing}
    for name, value in results.get("second_attention", {}).items():
        found[f"second_attention/{name}"] = {"mean": value, **nothing}
    return found
