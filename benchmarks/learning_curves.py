"""What an agent has learned, over the time that it took: our presets and stable-baselines3's PPO.

    python benchmarks/learning_curves.py                     # as long as SB3 takes for its steps
    python benchmarks/learning_curves.py --quick             # whether it works

All learn the same game with Table 8's hyper-parameters, but for what a preset of `configs/ppo`
changes. A point of a curve is the mean return of the last 30 training episodes. Each has a process
of its own; they take turns, a rollout with its update each, and a curve's time is that of its own
turns, so that other work on the machine delays all of them alike.

The table tells how long each took to reach the return that SB3 has at its end, for good: from when
on its mean stayed at or above. One seed decides nothing about which learns more; steps/s hold.
The figure (PNG, SVG) and curves.json go to --out.
"""

import sys
from dataclasses import asdict, dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import training
from contest import Entry, working
from machine import num_cores, report
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from workload import Games

from rl_attn.reports.style import drawn, looks, panels
from rl_attn.run.cli import command, run_command
from rl_attn.run.configs import find_config
from rl_attn.run.settings import Positive
from rl_attn.run.yaml import load_yaml

#: Training episodes of which a point of a curve is the mean.
EPISODES = 30
PRESETS = ("small_cpu", "fast_cpu")


@dataclass
class CurveSettings(Games):
    """Measure what is learned over time, by our presets and by stable-baselines3."""

    steps: Positive[int] = 60_000
    """agent steps of each"""
    seed: Positive[int] = 1
    """of all of them"""
    out: Path = Path("runs/learning_curves")
    """folder for the figure and the numbers"""
    quick: bool = False
    """the least of everything, in this process: whether it works, not how fast"""


@dataclass
class Curve:
    """What one has learned, after each of its rollouts."""

    seconds: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)  # NaN before the first episode's end
    episodes: list[float] = field(default_factory=list)

    def add(self, seconds: float, steps: int, ended: list[float]) -> None:
        self.episodes += ended
        latest = self.episodes[-EPISODES:]
        self.seconds.append(seconds + (self.seconds[-1] if self.seconds else 0.0))
        self.steps.append(steps + (self.steps[-1] if self.steps else 0))
        self.returns.append(float(np.mean(latest)) if latest else float("nan"))

    def reached(self, goal: float) -> float:
        """Seconds from when on the mean return was never below `goal`; NaN if it is at the end."""
        below = [i for i, value in enumerate(self.returns) if not value >= goal]
        after = below[-1] + 1 if below else 0
        return self.seconds[after] if after < len(self.seconds) else float("nan")


class Learner:
    """A contender of `training` whose chunk gives the returns of the episodes that ended in it."""

    def __init__(self, args: Games, kind: str, **flags: Any) -> None:
        self._learns = getattr(training, kind)(args, **flags)
        self.note = self._learns.note
        self.close = self._learns.close

    def run(self, count: int) -> list[float]:
        self._learns.returns.clear()
        self._learns.run(count)
        return self._learns.returns


def entries(args: CurveSettings) -> list[Entry]:
    """stable-baselines3, ours with the same network and frames, and ours by each preset."""
    ours = {"kind": "OurTrainer", "seed": args.seed}
    presets = [
        Entry(name, "learning_curves:Learner", ours | load_yaml(find_config(name)))
        for name in PRESETS
    ]
    size = f"{args.width}x{args.height}"
    return [
        Entry(f"SB3 PPO, {size}", "learning_curves:Learner", {"kind": "SB3PPO", "seed": args.seed}),
        Entry(f"our PPO, {size}", "learning_curves:Learner", ours),
        *presets,
    ]


def measure(args: CurveSettings) -> dict[str, Curve]:
    rollout = args.num_envs * args.num_steps
    learners = entries(args)
    found = {entry.name: Curve() for entry in learners}
    with working(learners, args, args.quick) as workers:
        turns = -(-args.steps // rollout)
        for turn in range(turns):
            for worker in workers:
                worker.ask(1)
                seconds, _, ended = worker.answer()
                found[worker.entry.name].add(seconds, rollout, list(ended))
            print(f"\rrollout {turn + 1} of {turns}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def table(found: dict[str, Curve]) -> Table:
    first = next(iter(found.values()))
    goal = first.returns[-1]
    headings = ("steps/s", "speed", "return at its end", f"s until {goal:.2f}", "sooner")
    shown = Table("", *headings, caption="speed and sooner: relative to the first row")
    for name, curve in found.items():
        until, total = curve.reached(goal), curve.seconds[-1]
        never = isnan(until)
        shown.add_row(
            name,
            f"{curve.steps[-1] / total:,.0f}",
            f"{first.seconds[-1] / total:.2f}x",
            f"{curve.returns[-1]:.2f}",
            "not reached" if never else f"{until:,.0f}",
            "" if never else f"{first.reached(goal) / until:.2f}x",
        )
    return shown


@drawn
def figure(found: dict[str, Curve]) -> Figure:
    shown, (axis,) = panels(1, size=(6.0, 2.8))
    for (name, curve), look in zip(found.items(), looks([*found]).values(), strict=True):
        minutes = np.array(curve.seconds) / 60
        axis.plot(minutes, curve.returns, color=look.color, linestyle=look.dashes, label=name)
    axis.set(xlabel="minutes of training", ylabel=f"return, mean of {EPISODES} episodes")
    axis.legend()
    return shown


@command(CurveSettings, "python benchmarks/learning_curves.py")
def main(args: CurveSettings) -> int:
    args.threads = args.threads or num_cores()
    if args.quick:
        args.num_envs, args.num_steps, args.threads, args.steps = 2, 8, 1, 32
    args.out.mkdir(parents=True, exist_ok=True)
    found = measure(args)
    picture = figure(found)
    (args.out / "curves.png").write_bytes(picture.png)
    (args.out / "curves.svg").write_text(picture.svg)
    Console(width=100).print(table(found))
    curves = {name: asdict(curve) for name, curve in found.items()}
    report(args.threads, args.out / "curves.json", f"; {args.out}", curves=curves)
    return 0


if __name__ == "__main__":
    run_command(main)
