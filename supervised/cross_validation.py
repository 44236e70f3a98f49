"""All folds of a cross-validation, one after the other: `rl-attn train --folds 5`.

Fold K is a run of its own in RUN/fold-K, as `--fold K` makes it with a seed of its own, the first
--seed. Folds that are finished stay and the one that was interrupted goes on when the same command
is given again with --run-dir RUN. Leaves folds.csv, a row a fold, and cross_validation.csv, of
every measure the mean and its 95 % interval, which allows for the folds' overlap.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from rl_attn.errors import UserError
from rl_attn.run.ending import console, say
from rl_attn.run.files import write_text
from rl_attn.run.folder import load_args
from rl_attn.statistics import resampled_interval
from rl_attn.supervised.run import start
from rl_attn.supervised.settings import TrainSettings, args_type, validate


def cross_validate(args: TrainSettings, path: Path) -> int:
    """Run the folds that are not finished, write their table; returns the exit status."""
    places = [path / f"fold-{k}" for k in range(args.folds)]
    for k, place in enumerate(places):
        own = replace(args, fold=k, seed=args.seed + k * args.ensemble, run_dir=str(place))
        print(f"fold {k} of {args.folds}: {place}", flush=True)
        status = run_fold(own, place)
        if status != 0:
            print(f"the same command with --run-dir {path} goes on with the other folds")
            return status
    found = [json.loads((p / "evaluation.json").read_text())["summary"] for p in places]
    folds = pd.DataFrame([{name: v["mean"] for name, v in summary.items()} for summary in found])
    table = summary_of(folds, 1 / (args.folds - 1 - args.fold_validation))
    write_text(path / "folds.csv", folds.to_csv(index_label="fold"))
    write_text(path / "cross_validation.csv", table.to_csv(index=False))
    shown = Table("", "mean", "95 % interval", title=f"test, {args.folds} folds")
    for row in table.itertuples():
        reach = f"{row.low:.3f} to {row.high:.3f}"
        shown.add_row(row.metric.replace("_", " "), f"{row.mean:.3f}", reach)
    console().print(shown)
    say(
        done=path,
        results=path / "cross_validation.csv",
        folds=path / "folds.csv",
        page=f"rl-attn report {places[0]}",
    )
    return 0


def run_fold(args: TrainSettings, place: Path) -> int:
    """Begin a fold, or go on with it; nothing of one that is finished. UserError: the folder holds
    a fold of other settings."""
    begun = (place / "config.yaml").is_file()
    if not begun:
        validate(args)
    elif (before := settings_of(load_args(place, args_type))) != settings_of(args):
        differ = sorted(k for k, v in settings_of(args).items() if before.get(k) != v)
        raise UserError(
            f"{place} was begun with another {', '.join(differ) or 'method'}: name another "
            "--run-dir, or give the same flags"
        )
    if (place / "evaluation.json").is_file():
        return 0
    return start(args, place, begun)


def settings_of(args: TrainSettings) -> dict[str, Any]:
    """What a fold's numbers depend on."""
    return {k: v for k, v in asdict(args).items() if k not in ("run_dir", "config", "resume")}


def summary_of(folds: pd.DataFrame, test_share: float) -> pd.DataFrame:
    """metric, mean, low, high, of a row a fold; see `resampled_interval`."""
    rows = []
    for metric in folds:
        mean, low, high = resampled_interval(folds[metric], test_share)
        rows.append({"metric": metric, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows)
