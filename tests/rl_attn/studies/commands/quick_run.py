"""A run of a second that keeps the run contract: folder, table, checkpoints, resume, signals.

`value` is a chaotic sequence of the seed and the gain, so that a run which skips or repeats a step
ends somewhere else. Plain standard library, for it starts often.
"""

import csv
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass
class QuickSettings:
    run_dir: str | None = None
    resume: str | None = None
    total_timesteps: int = 50
    gain: float = 3.7
    method: str = "plain"
    bold: bool = False
    seed: int = 1
    pause: float = 0.0
    checkpoint_interval: int = 5
    fail_at: int = 0
    failures: int = 0
    fail_with: int = 1


def validate(args: QuickSettings) -> None:
    from rl_attn.errors import UserError

    if args.gain > 4:
        raise UserError(f"gain must not be above 4, got {args.gain}")


def read(argv: list[str]) -> QuickSettings:
    kinds = {field.name: field.type for field in fields(QuickSettings)}
    values = {}
    words = iter(argv)
    for word in words:
        flag, _, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if name.removeprefix("no_") == "bold":
            values["bold"] = name == "bold"
            continue
        value = value or next(words)
        values[name] = kinds[name](value) if kinds[name] in (int, float) else value
    return QuickSettings(**values)


def move(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text)
    os.replace(scratch, path)


def main() -> int:
    args = read(sys.argv[1:])
    run = Path(args.resume or args.run_dir)
    state = {"step": 0, "value": 0.1 + args.seed / 1000}
    if args.resume:
        args = QuickSettings(**json.loads((run / "config.yaml").read_text()))
        state["value"] = 0.1 + args.seed / 1000
        if (run / "checkpoint.json").exists():
            state = json.loads((run / "checkpoint.json").read_text())
    else:
        if run.exists():
            print(f"error: {run} exists already", file=sys.stderr)
            return 2
        run.mkdir(parents=True)
        move(run / "config.yaml", json.dumps(asdict(args)))
    with (run / "starts.txt").open("a") as starts:
        starts.write(f"{state['step']}\n")
    return train(args, run, state)


main.settings = QuickSettings


def train(args: QuickSettings, run: Path, state: dict) -> int:
    asked = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    table = run / "metrics.csv"
    rows = list(csv.reader(table.open())) if table.exists() else []
    kept = [row for row in rows[1:] if len(row) == 2 and int(row[0]) <= state["step"]]
    lines = [["global_step", "quick/value"], *kept]
    move(table, "".join(",".join(row) + "\n" for row in lines))
    while state["step"] < args.total_timesteps and not asked:
        time.sleep(args.pause)
        state["step"] += 1
        state["value"] = args.gain * state["value"] * (1 - state["value"])
        with table.open("a") as out:
            out.write(f"{state['step']},{state['value']!r}\n")
        starts = (run / "starts.txt").read_text().count("\n")
        if state["step"] == args.fail_at and starts <= args.failures:
            print(f"error: failing as told at {args.fail_at}", file=sys.stderr)
            return args.fail_with
        if state["step"] % args.checkpoint_interval == 0:
            move(run / "checkpoint.json", json.dumps(state))
    move(run / "checkpoint.json", json.dumps(state))
    return 128 + asked[0] if asked else 0


if __name__ == "__main__":
    sys.exit(main())
