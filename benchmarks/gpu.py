"""Everything that is to be known of a GPU, in one command of less than eight minutes.

    python benchmarks/gpu.py --json gpu.json          # the whole table
    python benchmarks/gpu.py --only agents update     # some of its sections
    python benchmarks/gpu.py --device cpu --quick     # whether it works, in seconds

- agents: agent steps/s of whole trainings (games, rollout, update) at 160x120 and 320x240 with 8,
  64 and 256 games, Vanilla and CAMAL, nature and impoola, eager, compiled (at 64 games) and in CUDA
  graphs. The kinds of one box play in the same games. 256 games play rollouts of 32 steps, the
  others of Table 8's 128.
- update: where the time of an update goes, the GPU being waited for after each part.
- peers: our PPO, stable-baselines3's and CleanRL's loop, as `rl_throughput.py` has them.
- seeds: five LeNet seeds as one batched model, against five runs in turn (`supervised_epoch.py`).
- backbone: a training step of ResNet-50 at 224 pixels, on cross-entropy alone and with CAMAL.

Boxes of 64 games come first, and what the time does not suffice for says so. Times are relative to
the first row of a section (2.00x: takes twice as long).
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

from annotated_types import Gt
from contest import Entry, Result, compete, working
from machine import describe, in_words, num_cores
from rich.console import Console
from rich.table import Table
from workload import Classifiers, Games

from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command

#: Frame sizes and numbers of games, in order of importance.
BOXES = (
    *((160, 120, 64), (320, 240, 64), (160, 120, 8), (320, 240, 8)),
    *((160, 120, 256), (320, 240, 256)),
)
Section = Literal["agents", "update", "peers", "seeds", "backbone"]
SECTIONS: tuple[Section, ...] = Section.__args__
#: Seconds that a game takes to be forked; they are one after the other.
LAUNCH = 0.1


@dataclass
class GpuSettings:
    """Measure training on a GPU: agents, parts of an update, peers, seeds, a backbone."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """of our agents; the peers always use fp32"""
    only: tuple[Section, ...] = ()
    """sections to measure (default: all)"""
    minutes: Annotated[float, Gt(0)] = 7.0
    """what would begin after so many is left out"""
    seconds: Annotated[float, Gt(0)] = 2.0
    """the least that each kind of agent is measured"""
    env: str = "DefendCenter"
    """the scenario"""
    quick: bool = False
    """the smallest of everything, in this process: whether it works, not how fast"""
    json: Path | None = None
    """write the figures there too"""


@dataclass
class Row:
    """A line of the table."""

    name: str
    value: float | None = None
    unit: str = ""
    time: float | None = None  # relative to the section's first
    more: str = ""


Sections = Iterator[tuple[str, list[Row]]]


class Clock:
    """What is left of the time."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def suffices(self, seconds: float) -> bool:
        return time.monotonic() + seconds <= self._end


# ---------------------------------------------------------------------- agents


def kinds(args: GpuSettings, num_envs: int) -> list[Any]:
    from agents_grid import Kind

    modes = ["eager"]
    if args.device != "cpu":
        modes += ["graphs", *(["compiled"] if num_envs == 64 else [])]
    return [Kind(*each) for each in product(("nature", "impoola"), (False, True), modes)]


def agents(args: GpuSettings, clock: Clock, box: tuple[int, int, int]) -> Sections:
    """A box of the table; with the first, the parts of an update."""
    from agents_grid import Kind

    width, height, num_envs = box
    games = Games(args.env, width, height, num_envs, 128 if num_envs < 256 else 32)
    games.device, games.precision, games.threads = args.device, args.precision, num_cores()
    flags: dict[str, Any] = {"seconds": args.seconds}
    if args.quick:
        games.num_steps, games.threads = 8, 1
        flags |= {"frame_size": "80x60", "update_epochs": 1}
    heading = f"agents, {num_envs} games of {width}x{height}"
    if not clock.suffices(LAUNCH * num_envs):
        return (yield heading, [Row("all kinds", more="not reached")])
    with working([Entry("grid", "agents_grid:Grid", flags)], games, args.quick) as (grid,):
        wanted = kinds(args, num_envs) if "agents" in args.only else []
        found, last = [], 0.0
        for kind in wanted:
            if not clock.suffices(1.5 * last):
                found.append((kind.name, {"failed": "not reached"}))
                continue
            grid.ask(kind)
            last, _, measured = grid.answer()
            found.append((kind.name, measured))
            print(f"{heading}: {kind.name}", file=sys.stderr, flush=True)
        if found:
            yield f"{heading}: {grid.note}", list(_agent_rows(found))
        if "update" in args.only and box == boxes(args)[0] and clock.suffices(0):
            grid.ask(Kind(camal=True, parts=True))
            _, _, measured = grid.answer()
            yield f"an update of nature, CAMAL, eager ({heading})", _part_rows(measured)


def _agent_rows(found: list[tuple[str, dict[str, Any]]]) -> Iterator[Row]:
    first = found[0][1].get("steps_per_second")
    for name, measured in found:
        if "failed" in measured:
            yield Row(name, more=measured["failed"])
            continue
        speed, gib = measured["steps_per_second"], measured["peak_gib"]
        more = f"rollout {measured['rollout_seconds']:.3f} s"
        more += f", update {measured['update_seconds']:.3f} s"
        more += "" if gib is None else f", {gib:.1f} GiB"
        yield Row(name, speed, "steps/s", first / speed if first else None, more)


def _part_rows(measured: dict[str, Any]) -> list[Row]:
    if "failed" in measured:
        return [Row("parts", more=measured["failed"])]
    parts = measured["parts"]
    total = sum(parts.values())
    rows = [Row("all of it", total, "ms", 1.0)]
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return rows + [Row(label, each, "ms", each / total) for label, each in ordered]


# ---------------------------------------------------------------------- the others


def peers(args: GpuSettings) -> Sections:
    from rl_throughput import SECTIONS as CONTESTS

    games = Games(args.env, device=args.device, precision=args.precision, threads=num_cores())
    updates, rounds, entries = 1, 2, CONTESTS["training"]
    if args.quick:
        games.num_envs, games.num_steps, games.threads, rounds, entries = 2, 8, 1, 1, entries[:1]
    results = compete(entries, games, updates, rounds, args.quick)
    steps = updates * games.num_envs * games.num_steps
    yield f"peers: {results[0].note}", [_speed_row(result, steps, "steps/s") for result in results]


def seeds(args: GpuSettings) -> Sections:
    from supervised_epoch import SEEDS

    work = Classifiers(8 if args.quick else 32, threads=num_cores(), device=_torch_name(args))
    steps, rounds = (1, 1) if args.quick else (100, 3)
    results = compete(SEEDS, work, steps, rounds, args.quick)
    rows = [_speed_row(result, 5 * steps, "steps/s") for result in results]
    yield f"five seeds of LeNet, batches of {work.batch_size} (steps of all seeds together)", rows


def backbone(args: GpuSettings) -> Sections:
    from attribution import CONTENDERS
    from attribution_steps import Case

    name, pixels, batch = ("resnet18", 64, 2) if args.quick else ("resnet50", 224, 64)
    case = Case(name, None, pixels, batch, num_cores(), _torch_name(args))
    steps, rounds = (1, 1) if args.quick else (10, 3)
    results = compete(CONTENDERS[:2], case, steps, rounds, args.quick)
    rows = [_speed_row(result, steps * batch, "pictures/s") for result in results]
    yield f"{name}, batches of {batch} at {pixels} pixels, fp32", rows


def _speed_row(result: Result, work: int, unit: str) -> Row:
    return Row(result.name, work / median(result.seconds), unit, result.time)


def _torch_name(args: GpuSettings) -> str:
    return "cpu" if args.device == "cpu" else "cuda"


# ---------------------------------------------------------------------- the program


def boxes(args: GpuSettings) -> tuple[tuple[int, int, int], ...]:
    return ((160, 120, 2),) if args.quick else BOXES


def sections(args: GpuSettings, clock: Clock) -> Sections:
    """All that is asked for, the most important first."""
    others: dict[str, tuple[Callable[[GpuSettings], Sections], float]] = {
        **{"peers": (peers, 60), "seeds": (seeds, 30), "backbone": (backbone, 30)}
    }
    grids = boxes(args) if "agents" in args.only else boxes(args)[:1]
    grids = grids if {"agents", "update"} & {*args.only} else ()
    for box in grids[:2]:
        yield from tried(f"agents, {box}", agents(args, clock, box))
    for name, (measure, seconds) in others.items():
        if name in args.only and (args.quick or clock.suffices(seconds)):
            yield from tried(name, measure(args))
        elif name in args.only:
            yield name, [Row("all of it", more="not reached")]
    for box in grids[2:]:
        yield from tried(f"agents, {box}", agents(args, clock, box))


def tried(name: str, found: Sections) -> Sections:
    """A section that fails is a line, and the others go on."""
    try:
        yield from found
    except (RuntimeError, UserError) as error:
        yield name, [Row("all of it", more=f"failed: {str(error).strip().splitlines()[-1]}")]


def table(heading: str, rows: list[Row]) -> Table:
    """One section."""
    shown = Table(title=heading, title_justify="left", title_style="bold")
    shown.add_column("", min_width=34)
    for name, width in (("", 16), ("time", 6)):
        shown.add_column(name, justify="right", no_wrap=True, min_width=width)
    shown.add_column("")
    for row in rows:
        value = "-" if row.value is None else f"{row.value:,.4g} {row.unit}"
        ratio = "-" if row.time is None else f"{row.time:.2f}x"
        shown.add_row(row.name, value, ratio, row.more)
    return shown


@command(GpuSettings, "python benchmarks/gpu.py")
def main(args: GpuSettings) -> int:
    args.only = args.only or SECTIONS
    if args.json is not None and not args.json.absolute().parent.is_dir():
        raise UserError(f"--json {args.json}: that folder does not exist")
    from rl_attn.run.device import pick_device

    args.device = str(pick_device(args.device))
    if args.device == "cpu" and not args.quick:
        raise UserError(
            "this measures a GPU, and there is none: take --device cpu --quick to try it"
        )
    about = describe(num_cores()) | {"device": _device_name(args.device)}
    console, found = Console(width=max(120, Console().width), highlight=False), {}
    for heading, rows in sections(args, Clock(args.minutes)):
        console.print(table(heading, rows))  # at once: whoever ends it early has these
        found[heading] = [asdict(row) for row in rows]
        if args.json is not None:
            args.json.write_text(json.dumps({"machine": about, "sections": found}, indent=1))
    print("time: relative to a section's first row; of parts, their share")
    print(in_words(about) + f", {about['device']}")
    return 0


def _device_name(device: str) -> str:
    import torch

    return device if device == "cpu" else torch.cuda.get_device_name(device)


if __name__ == "__main__":
    run_command(main)
