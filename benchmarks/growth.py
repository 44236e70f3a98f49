"""How cost grows with size: lanes, frames, workers, pictures, steps; a figure of each.

    python benchmarks/growth.py                           # half an hour on 2 cores
    python benchmarks/growth.py --only lanes frames       # some of it
    python benchmarks/growth.py --quick                   # whether it works

- lanes: agent steps/s of stepping and of whole training with CAMAL, over 1 to 64 games.
- frames: the same over frame sizes, with 8 games.
- workers: runs an hour of a study of short runs, over how many of them go on at once.
- pictures: seconds of a supervised epoch, over training pictures.
- memory: what a training run holds, over its steps, and what the growth makes of ten million.

Figures (PNG, SVG) and figures.json go to --out. Each point is measured by itself, one after the
other, in a process of its own: on a machine that does something else, points differ by that.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from contest import Entry, held_mib, working
from machine import num_cores, report
from matplotlib.figure import Figure
from workload import Classifiers, Games

from rl_attn.reports.style import drawn, looks, panels
from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import Positive
from rl_attn.run.yaml import dump_yaml

Section = Literal["lanes", "frames", "workers", "pictures", "memory"]
SECTIONS: tuple[Section, ...] = Section.__args__


@dataclass
class GrowthSettings(Games):
    """Measure how the cost of things grows with their size."""

    only: tuple[Section, ...] = ()
    """what is measured (default: all)"""
    seconds: Annotated[float, Gt(0)] = 5.0
    """the least that a point of training is measured"""
    steps: Positive[int] = 50_000
    """agent steps of the run whose memory is looked at"""
    runs: Positive[int] = 4
    """runs of the study whose workers are counted"""
    out: Path = Path("runs/growth")
    """folder for the figures"""
    quick: bool = False
    """the smallest of everything, in this process: whether it works, not how fast"""


@dataclass
class Growth:
    """What was measured: curves over the same sizes, and a sentence on them."""

    size: str  # what grows, the figure's x axis
    unit: str  # of the y axis
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    more: str = ""

    def add(self, curve: str, size: float, value: float) -> None:
        self.curves.setdefault(curve, []).append((size, value))


def one(entry: Entry, settings: Any, chunk: Any, inline: bool) -> tuple[float, Any]:
    """Seconds of a chunk, after another that warmed up, and what the contender gave for it."""
    with working([entry], settings, inline) as (worker,):
        for _ in range(2):
            worker.ask(chunk)
            seconds, _, found = worker.answer()
    return seconds, found


# ---------------------------------------------------------------------- agents


def speeds(args: GrowthSettings, games: Games, growth: Growth, size: float) -> None:
    """A point each of stepping and training."""
    from agents_grid import Kind

    steps = 5 if args.quick else 300
    seconds, _ = one(Entry("stepping", "stepping:OurLanes"), games, steps, args.quick)
    growth.add("stepping", size, steps * games.num_envs / seconds)
    grid = Entry("training", "agents_grid:Grid", {"seconds": args.seconds, **_flags(args)})
    with working([grid], games, args.quick) as (worker,):
        worker.ask(Kind(camal=True))
        _, _, found = worker.answer()
    if "failed" in found:
        raise RuntimeError(f"{games}: {found['failed']}")
    growth.add("training with CAMAL", size, found["steps_per_second"])


def lanes(args: GrowthSettings) -> Growth:
    growth = Growth("games played at once", "agent steps/s")
    for count in (1, 2) if args.quick else (1, 2, 4, 8, 16, 32, 64):
        speeds(args, replace(_games(args), num_envs=count), growth, count)
    return growth


def frames(args: GrowthSettings) -> Growth:
    growth = Growth("pixels of a frame", "agent steps/s")
    sizes = ((160, 120), (320, 240), (640, 480))
    for width, height in sizes[: 1 if args.quick else None]:
        games = replace(_games(args), width=width, height=height)
        speeds(args, games, growth, width * height)
    return growth


def memory(args: GrowthSettings) -> Growth:
    """MiB after every update; the line through the second half tells the growth."""
    games = _games(args)
    rollout = games.num_envs * games.num_steps
    growth, curve = Growth("agent steps", "MiB"), "a training run and its games"
    updates = 4 if args.quick else max(4, args.steps // rollout)
    entry = Entry("run", "training:OurCamalTrainer", _flags(args))
    with working([entry], games, args.quick) as (worker,):
        for update in range(1, updates + 1):
            worker.ask(1)
            worker.answer()
            growth.add(curve, update * rollout, held_mib(worker.pid))
    at, held = np.array(growth.curves[curve][updates // 2 :]).T
    slope = 1e6 * np.polyfit(at, held, 1)[0]
    growth.more = f"{slope:+.1f} MiB a million steps: {held[-1] + 10 * slope:,.0f} MiB after 10M"
    return growth


def _games(args: GrowthSettings) -> Games:
    names = Games.__dataclass_fields__
    return Games(**{name: getattr(args, name) for name in names})


def _flags(args: GrowthSettings) -> dict[str, Any]:
    return {"frame_size": "80x60", "update_epochs": 1} if args.quick else {}


# ---------------------------------------------------------------------- studies, pictures


def workers(args: GrowthSettings) -> Growth:
    """The same runs, one to as many at once as there are cores and once more as many."""
    from rl_attn import study

    growth = Growth("runs at once", "runs an hour")
    run = {"env": args.env, "frame_size": "80x60", "num_envs": 2, "num_steps": 64}
    run |= {"total_timesteps": 128 if args.quick else 4096, "device": "cpu", "picture_interval": 0}
    counts = (1,) if args.quick else (1, *range(2, 2 * num_cores() + 1, 2))
    runs = 1 if args.quick else args.runs
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "growth.yaml"
            seeds = list(range(1, runs + 1))
            file.write_text(dump_yaml({"command": "ppo", "arguments": run, "seeds": seeds}))
            began = time.perf_counter()
            status = study.main([str(file), "--out", f"{scratch}/out", "--workers", str(count)])
            if status != 0:
                raise RuntimeError(f"the study of {runs} runs ended with status {status}")
            growth.add("a study", count, 3600 * runs / (time.perf_counter() - began))
    return growth


def pictures(args: GrowthSettings) -> Growth:
    growth = Growth("training pictures", "seconds an epoch")
    work = Classifiers(32, threads=args.threads)
    for count in (64,) if args.quick else (70, 140, 280, 560, 1120):
        entry = Entry("LeNet", "classifiers:Ours", {"pictures": count})
        seconds, _ = one(entry, work, -(-count // work.batch_size), args.quick)
        growth.add("LeNet with Learning to Look", count, seconds)
    return growth


MEASURES: dict[str, Callable[[GrowthSettings], Growth]] = {
    **{"lanes": lanes, "frames": frames, "workers": workers, "pictures": pictures},
    "memory": memory,
}


# ---------------------------------------------------------------------- the program


@drawn
def figure(growth: Growth) -> Figure:
    """Curves over the size; axes are logarithmic, a narrow y axis and that of steps are not."""
    shown, (axis,) = panels(1, size=(5.0, 2.6))
    styles = looks(["baseline", *growth.curves])
    for curve, points in growth.curves.items():
        look, (x, y) = styles[curve], zip(*points, strict=True)
        axis.plot(x, y, color=look.color, marker=look.marker, markersize=3.5, label=curve)
    if growth.unit == "MiB":
        axis.set_ylim(0, 1.25 * max(held for _, held in points))
        axis.xaxis.set_major_formatter("{x:,.0f}")
    else:
        axis.set_xscale("log", base=2)
        values = [value for points in growth.curves.values() for _, value in points]
        if max(values) > 10 * min(values):
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.15 * max(values))
        sizes = sorted({size for points in growth.curves.values() for size, _ in points})
        axis.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axis.minorticks_off()
    axis.yaxis.set_major_formatter("{x:,g}")
    axis.set(xlabel=growth.size, ylabel=growth.unit, title=growth.more)
    axis.legend()
    return shown


def lines(name: str, growth: Growth) -> Sequence[str]:
    for curve, points in growth.curves.items():
        values = "  ".join(f"{size:,.0f}: {value:,.3g}" for size, value in _few(points))
        yield f"{name}, {curve}, {growth.unit} by {growth.size}:  {values}"
    if growth.more:
        yield f"{name}: {growth.more}"


def _few(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most eight of them, the ends included."""
    chosen = np.unique(np.linspace(0, len(points) - 1, min(8, len(points))).round().astype(int))
    return [points[i] for i in chosen]


@command(GrowthSettings, "python benchmarks/growth.py")
def main(args: GrowthSettings) -> int:
    args.threads = args.threads or num_cores()
    if args.quick:
        args.num_envs, args.num_steps, args.threads, args.seconds = 2, 8, 1, 0.01
    args.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in args.only or SECTIONS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        found[name] = MEASURES[name](args)
        picture = figure(found[name])
        (args.out / f"{name}.png").write_bytes(picture.png)
        (args.out / f"{name}.svg").write_text(picture.svg)
        print(*lines(name, found[name]), sep="\n", flush=True)
    growth = {name: asdict(part) for name, part in found.items()}
    report(args.threads, args.out / "figures.json", f"; {args.out}", growth=growth)
    return 0


if __name__ == "__main__":
    run_command(main)
