"""Does CAMAL change where agents look, and what does it cost them? On a CPU, in hours.

    uv run python benchmarks/camal_agents.py --out runs/agents

Trains CAMAL and Vanilla on DefendCenter (100,000 steps) and Basic (200,000; with clipped rewards
it starts late), two seeds each, at 160 x 120; evaluates every run, and a uniformly random policy,
on the same 30 seeds; prints one table, with the ceiling of the IoU at this grid, and draws what
both methods attend to in the same frames. Interrupted, it goes on where it was: finished runs
stay, the others resume from their checkpoints.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from rl_attn import random_policy, runs
from rl_attn.cli import choose, parse, run_command
from rl_attn.evaluate import FrameSampler, load
from rl_attn.pictures import captioned, enlarged, grid, heat
from rl_attn.play import evaluation_seeds, summarize
from rl_attn.statistics import Interval
from rl_attn.watch import attention_maps

METHODS = {
    "vanilla": ("--camal", "0"),
    "camal": ("--camal", "1"),
    # Is it the joint clipping of both losses' gradients that costs return?
    "separate": ("--camal", "1", "--separate-clipping"),
}
PICTURED = ("vanilla", "camal")


@dataclass
class Args:
    """Train, evaluate and compare CAMAL and Vanilla agents."""

    out: str = "runs/agents"
    """folder of the runs and the results"""
    envs: tuple[str, ...] = ("DefendCenter:100000", "Basic:200000")
    """environments, each with its number of steps"""
    methods: tuple[str, ...] = ("vanilla", "camal")
    """vanilla, camal, and separate: CAMAL with the two losses' gradients clipped apart"""
    seeds: tuple[int, ...] = (1, 2)
    """one run of each method for each of these"""
    episodes: int = 30
    """of each evaluation"""
    workers: int = 2
    """runs trained at once; the CPU's cores are shared out among them"""
    device: str = "cpu"
    """where to train"""


@dataclass(frozen=True)
class Cell:
    """One run of the comparison."""

    env: str
    steps: str
    method: str
    seed: int
    folder: Path

    def commands(self, args: Args) -> Iterator[list[str]]:
        """What is left to do for it."""
        threads = str(max(1, (os.cpu_count() or 1) // args.workers))
        if runs.latest_checkpoint(self.folder) or (self.folder / "config.yaml").exists():
            yield ["rl_attn.ppo", "--resume", str(self.folder)]
        else:
            yield [
                *("rl_attn.ppo", "--env", self.env, *METHODS[self.method]),
                *("--total-timesteps", self.steps, "--seed", str(self.seed)),
                *("--device", args.device, "--threads", threads),
                *("--run-dir", str(self.folder)),
            ]
        if not (self.folder / "evaluation.json").exists():
            yield [
                *("rl_attn.evaluate", str(self.folder), "--episodes", str(args.episodes)),
                *("--device", args.device, "--threads", threads, "--no-video"),
            ]

    def run(self, args: Args) -> None:
        for command in self.commands(args):
            print(" ".join(command), flush=True)
            log = self.folder.with_suffix(".log")
            with log.open("a") as output:
                done = subprocess.run(
                    [sys.executable, "-m", *command], stdout=output, stderr=output
                )
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: see {log}")


def cells(args: Args) -> list[Cell]:
    out = Path(args.out)
    return [
        Cell(*env.split(":"), method, seed, out / f"{env.split(':')[0]}-{method}-s{seed}")
        for seed in args.seeds
        for env in args.envs
        for method in args.methods
    ]


def compare(args: Args, all_cells: list[Cell]) -> Table:
    table = Table(
        "environment",
        "method",
        "seed",
        "IoU",
        "its ceiling",
        "alpha",
        "beta",
        "dead maps",
        "return",
    )
    for env in dict.fromkeys(cell.env for cell in all_cells):
        random = random_policy.Args(out="", env=env, episodes=args.episodes)
        floor = summarize(random_policy.play(random, evaluation_seeds(args.episodes)))
        ceiling, returns = f"{floor['iou_ceiling'].mean:.3f}", str(floor["episode_return"])
        table.add_row(env, "random", "", "", ceiling, "", "", "", returns)
        for cell in (cell for cell in all_cells if cell.env == env):
            result = json.loads((cell.folder / "evaluation.json").read_text())["summary"]
            names = ("iou", "iou_ceiling", "alpha", "beta", "dead_maps", "episode_return")
            columns = [str(Interval(**result[name])) for name in names]
            columns[1:5] = [f"{result[name]['mean']:.3f}" for name in names[1:5]]
            table.add_row(env, cell.method, str(cell.seed), *columns)
    return table


def picture(args: Args, env: str, frames: int = 3, scale: int = 2) -> np.ndarray:
    """Rows of frame | Vanilla's attention | CAMAL's attention, on frames that CAMAL met."""
    device = torch.device("cpu")
    players = {
        method: load(Path(args.out) / f"{env}-{method}-s{args.seeds[0]}", "latest", device)
        for method in PICTURED
    }
    sampler = FrameSampler(256)

    def with_target(moment) -> None:
        if moment.masks[0].sum() > 60:
            sampler(moment)

    players["camal"].play(1, evaluation_seeds(2), look=with_target)
    stacks = sampler.stacks()
    stacks = stacks[np.linspace(0, len(stacks) - 1, frames + 2).astype(int)[1:-1]]
    maps = {m: attention_maps(p.agent, stacks, "value")[0].numpy() for m, p in players.items()}
    rows = []
    for i, stack in enumerate(stacks):
        rgb = enlarged(stack[-1].numpy()[..., None].repeat(3, axis=2), scale)
        gap = np.full((len(rgb), 4, 3), 255, np.uint8)
        panels = [rgb, *(heat(rgb, maps[method][i]) for method in PICTURED)]
        rows.append(np.hstack([part for panel in panels for part in (panel, gap)][:-1]))
    return captioned(grid(rows), ["frame", "Vanilla PPO attends to", "with CAMAL"])


def main(argv: list[str]) -> int:
    args = parse(Args, argv, "python benchmarks/camal_agents.py")
    for method in args.methods:
        choose("method", method, list(METHODS))
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    all_cells = cells(args)
    with ThreadPoolExecutor(args.workers) as pool:
        list(pool.map(lambda cell: cell.run(args), all_cells))
    console = Console(record=True, width=120)
    console.print(compare(args, all_cells))
    runs.write_text(out / "table.txt", console.export_text())
    for env in dict.fromkeys(cell.env for cell in all_cells):
        Image.fromarray(picture(args, env)).save(out / f"{env}.png")
    print(f"pictures: frame | Vanilla's attention | CAMAL's attention, in {out}/*.png")
    return 0


if __name__ == "__main__":
    run_command(main)
