"""What each method costs: seconds per 1,000 steps, as a ratio to vanilla's.

    python benchmarks/methods.py                     # every row of looking_right; half an hour
    python benchmarks/methods.py --quick --only drac rrr
    python benchmarks/methods.py --study my_study.yaml --json costs.json

Rows are the labels of the study's grid key `method`, so that a method of one's own is timed by the
file that compares it. Each trains with the game, the network and the hyper-parameters of
`rl-attn ppo`, a process of its own; some at once form a heat with vanilla, in which all take turns
(see `contest.py`) and every time is divided by vanilla's of the same round. A row that a teacher's
run is given to gets one of masked input that has just begun.

The table gives the median over the rounds of the ratio, with the smallest and the largest, and of
the steps a second, which the study's `pace` takes. Memory is that of all processes of a row.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from contest import Entry, Result, compete
from machine import num_cores, report
from rich.console import Console
from rich.table import Table
from workload import Games

from rl_attn import ppo
from rl_attn.errors import UserError, choose
from rl_attn.run.cli import command, run_command
from rl_attn.run.configs import find_config
from rl_attn.studies.schema import read_study

#: Of a round: one rollout and its update.
_CHUNK = 1


@dataclass
class MethodCosts(Games):
    """How long does each method take, beside vanilla?"""

    study: str = "looking_right"
    """study whose rows are timed: a file, or one of the project's"""
    only: tuple[str, ...] = ()
    """rows to time (default: all)"""
    rounds: int = 5
    """rounds of each heat; one more warms up"""
    heat: int = 3
    """rows that are timed at once, beside vanilla"""
    quick: bool = False
    """one round of very short rollouts: whether it works, not how fast"""
    json: Path | None = None
    """write the figures there too"""


def rows_of(args: MethodCosts) -> dict[str, dict[str, Any]]:
    """Label -> flags."""
    study = read_study(find_config(args.study, "study"))
    rows = study.grid.get("method", {})
    if not rows:
        raise UserError(f"study {args.study} has no grid key `method`")
    for label in args.only:
        choose("row", label, list(rows))
    own = study.arguments.get("import", study.arguments.get("imports"))
    more = {"imports": tuple(own)} if own else {}
    return {label: flags | more for label, flags in rows.items() if label in (args.only or rows)}


def time_all(args: MethodCosts, rows: dict[str, dict[str, Any]], teacher: Path) -> list[Result]:
    """One result a row, in order."""
    games = Games(**{name: getattr(args, name) for name in Games.__dataclass_fields__})
    entries = [Entry(label, "training:OurMethod", filled(f, teacher)) for label, f in rows.items()]
    found: list[Result] = []
    for first in range(0, len(entries), args.heat):
        heat = [Entry("vanilla", "training:OurMethod"), *entries[first : first + args.heat]]
        found += compete(heat, games, _CHUNK, args.rounds)[1:]
        print(f"{len(found)} of {len(entries)} rows", file=sys.stderr)
    return found


def filled(flags: dict[str, Any], teacher: Path) -> dict[str, Any]:
    """The flags, the teacher's run in place of another cell's folder."""
    return {flag: str(teacher) if _is_cell(value) else value for flag, value in flags.items()}


def _is_cell(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\{.+=.+\}", value) is not None


def begin_teacher(args: MethodCosts, run: Path) -> None:
    """A run of one update with masked input."""
    size = ["--width", str(args.width), "--height", str(args.height), "--env", args.env]
    small = ["--num-envs", "1", "--num-steps", "8", "--num-minibatches", "1"]
    small += ["--total-timesteps", "8", "--checkpoint-interval", "1", "--device", "cpu"]
    ppo.main([*size, *small, "--method", "masked-input", "--run-dir", str(run)])


def show(results: Sequence[Result], steps: int) -> dict[str, dict[str, float]]:
    """Print the table; the figures by row."""
    table = Table("", "time", "range", "steps/s", "s / 1,000", "MiB")
    figures = {}
    for result in results:
        seconds = median(result.seconds)
        figures[result.name] = {
            "ratio": result.time,
            "steps_a_second": steps / seconds,
            "seconds_per_1000_steps": 1000 * seconds / steps,
            "mib": result.peak_mib,
        }
        ratios = f"{min(result.times):.2f} .. {max(result.times):.2f}"
        numbers = (f"{steps / seconds:.1f}", f"{1000 * seconds / steps:.1f}")
        table.add_row(
            result.name, f"{result.time:.2f}x", ratios, *numbers, f"{result.peak_mib:.0f}"
        )
    Console().print(table)
    return figures


@command(MethodCosts, "python benchmarks/methods.py")
def main(args: MethodCosts) -> int:
    args.threads = args.threads or num_cores()
    if args.quick:
        args.rounds, args.num_envs, args.num_steps = 1, 1, 8
    rows = rows_of(args)
    with TemporaryDirectory() as scratch:
        teacher = Path(scratch) / "teacher"
        if any(_is_cell(value) for flags in rows.values() for value in flags.values()):
            begin_teacher(args, teacher)
        results = time_all(args, rows, teacher)
    figures = show(results, _CHUNK * args.num_envs * args.num_steps)
    told = {**asdict(args), "json": str(args.json)}
    report(args.threads, args.json, arguments=told, rows=figures)
    return 0


if __name__ == "__main__":
    run_command(main)
