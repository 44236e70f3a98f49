"""How fast the games step and the agents train, against the libraries people use for it.

    python benchmarks/rl_throughput.py                  # everything; about ten minutes on 2 cores
    python benchmarks/rl_throughput.py --only stepping --rounds 9 --json speeds.json

Three sections, each with its baseline in the first row:

- stepping: our lanes, gymnasium's AsyncVectorEnv with shared memory, and stable-baselines3's
  SubprocVecEnv play the same episodes with random actions and see frames and masks. EnvPool joins
  in where it is installed (`uv pip install envpool`), with RGB frames, without masks, and with
  episodes of its own. Sample Factory does not: it asks for versions of gymnasium and NumPy that
  rl-attn has left behind.
- training: our PPO without CAMAL, stable-baselines3's PPO (on SubprocVecEnv, which is faster for
  it than DummyVecEnv, and VecFrameStack), and the loop of CleanRL's `ppo_atari.py` with its float32
  observations learn from the same games with the same network and hyper-parameters (Table 8 of
  the CAMAL paper). All games draw their masks; rewards are clipped, returns recorded, and nothing
  is logged. `--precision auto` lets ours use bf16 where `rl_attn.ppo` would.
- camal: our PPO with the CAMAL loss against the same without it.

Every contender has a process of its own and the same number of torch threads. They are warmed up
and measured in turns (see `contest.py`), so that their ratios hold on a machine that is busy with
other things. The table gives the median of the rounds' steps/s with the smallest and largest, the
median over the rounds of the time relative to the baseline's (2.00x: takes twice as long), the
peak memory of all processes of the contender, games included, and the CPU time of its main process
until it was ready, imports and all.

Needs stable-baselines3, which `uv sync` installs with the development tools.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from math import isnan
from pathlib import Path
from statistics import median
from typing import Any, Literal

from contest import Entry, Result, compete
from machine import num_cores, report
from rich.console import Console
from rich.table import Table
from stepping import EnvPool
from workload import Games

from rl_attn.envs.doom.resolutions import screen_resolution
from rl_attn.envs.doom.scenarios import resolve
from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command

SECTIONS = {
    "stepping": (
        Entry("our Lanes", "stepping:OurLanes"),
        Entry("gymnasium AsyncVectorEnv", "stepping:GymnasiumAsync"),
        Entry("SB3 SubprocVecEnv", "stepping:SB3Subproc"),
    ),
    "training": (
        Entry("our PPO", "training:OurTrainer"),
        Entry("SB3 PPO", "training:SB3PPO"),
        Entry("CleanRL's loop, float32", "training:CleanRLLoop"),
    ),
    "camal": (
        Entry("our PPO, Vanilla", "training:OurTrainer"),
        Entry("our PPO, CAMAL", "training:OurCamalTrainer"),
    ),
}


@dataclass
class ThroughputSettings(Games):
    """Measure steps/s and memory of our games and training against other libraries'."""

    only: Literal["stepping", "training", "camal", "all"] = "all"
    """the section to measure"""
    rounds: int = 5
    """how many times each contender is measured"""
    steps: int = 500
    """steps of each game in a chunk of stepping"""
    updates: int = 2
    """rollouts, each with its update, in a chunk of training"""
    json: str | None = None
    """file to write the numbers to"""


def validate(args: ThroughputSettings) -> None:
    """Refuse what cannot work, before any process starts."""
    for name in ("rounds", "steps", "updates", "num_envs", "num_steps"):
        if getattr(args, name) < 1:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} must be at least 1, got {getattr(args, name)}")
    if args.threads < 0:
        raise UserError(f"--threads must be 0 or more, got {args.threads}")
    if args.num_envs * args.num_steps % 4:
        raise UserError(
            f"--num-envs {args.num_envs} x --num-steps {args.num_steps} do not divide into 4 "
            "mini-batches"
        )
    try:
        resolve(args.env)
        screen_resolution((args.width, args.height))
    except ValueError as error:
        raise UserError(str(error)) from None
    if args.only != "camal" and find_spec("stable_baselines3") is None:
        raise UserError("stable-baselines3 is needed: uv sync, or pip install stable-baselines3")
    if args.device not in ("auto", "cpu"):
        from rl_attn.run.device import pick_device  # torch takes seconds to load

        pick_device(args.device)
    if args.json is not None and not Path(args.json).absolute().parent.is_dir():
        raise UserError(f"--json {args.json}: that folder does not exist")


# ---------------------------------------------------------------------- the numbers


def chunk(section: str, args: ThroughputSettings) -> tuple[int, int]:
    """What a contender is asked for at a time, and how many steps of a game that is."""
    if section == "stepping":
        return args.steps, args.steps * args.num_envs
    return args.updates, args.updates * args.num_envs * args.num_steps


def numbers(result: Result, steps: int) -> dict[str, Any]:
    """One contender, as it is written to the JSON file."""
    speeds = [steps / seconds for seconds in result.seconds]
    return {
        "contender": result.name,
        "steps_per_second": median(speeds),
        "slowest": min(speeds),
        "fastest": max(speeds),
        "relative_time": result.time,
        "peak_memory_mib": None if isnan(result.peak_mib) else result.peak_mib,
        "start_cpu_seconds": result.start_cpu_seconds,
        "rounds": {
            "steps_per_second": speeds,
            "relative_time": result.times,
            "work": result.works,
        },
    }


def entries(section: str, args: ThroughputSettings) -> list[Entry]:
    """The section's contenders, those that only some have among them."""
    found = list(SECTIONS[section])
    if section == "stepping" and args.env in EnvPool.NAMES and find_spec("envpool") is not None:
        name = "EnvPool (RGB, no masks)"
        found.append(Entry(name, "stepping:EnvPool", own_work=True))
    return found


def measure(section: str, args: ThroughputSettings) -> dict[str, Any]:
    count, steps = chunk(section, args)
    results = compete(entries(section, args), args, count, args.rounds)
    return {
        "what": results[0].note,
        "contenders": [numbers(result, steps) for result in results],
    }


def table(sections: dict[str, dict[str, Any]]) -> Table:
    """All sections as one table."""
    caption = "time: relative to the section's first row. peak MiB: all processes, games included."
    shown = Table("contender", caption=caption)
    for heading in ("steps/s", "slowest .. fastest", "time", "peak MiB", "start CPU s"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for section, content in sections.items():
        shown.add_section()
        shown.add_row(f"[bold]{section}[/bold]: {content['what']}")
        for row in content["contenders"]:
            shown.add_row(*_cells(row))
    return shown


def _cells(row: dict[str, Any]) -> Sequence[str]:
    memory = row["peak_memory_mib"]
    return (
        f"  {row['contender']}",
        _number(row["steps_per_second"]),
        f"{_number(row['slowest'])} .. {_number(row['fastest'])}",
        f"{row['relative_time']:.2f}x",
        "-" if memory is None else f"{memory:,.0f}",
        f"{row['start_cpu_seconds']:.1f}",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


# ---------------------------------------------------------------------- the program


@command(ThroughputSettings, "python benchmarks/rl_throughput.py")
def main(args: ThroughputSettings) -> int:
    validate(args)
    args = replace(args, threads=args.threads or num_cores())
    sections = {}
    for section in SECTIONS if args.only == "all" else [args.only]:
        print(f"measuring {section} ...", file=sys.stderr, flush=True)
        sections[section] = measure(section, args)
    # Wide enough for a log file; a terminal narrower than this wraps.
    console = Console(width=max(100, Console().width), highlight=False)
    console.print(table(sections))
    file = None if args.json is None else Path(args.json)
    report(args.threads, file, settings=asdict(args), sections=sections)
    return 0


if __name__ == "__main__":
    run_command(main)
