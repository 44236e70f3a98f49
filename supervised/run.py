"""From settings to a finished run of supervised training."""

import json
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.run.checkpoint import fitting, latest_checkpoint, load_checkpoint, save_checkpoint
from rl_attn.run.device import keep_freed_memory, pick_device
from rl_attn.run.ending import console, say, typed
from rl_attn.run.files import write_text
from rl_attn.run.folder import create
from rl_attn.run.log import RunLog, check_tables
from rl_attn.run.loop import Pieces, carry_out
from rl_attn.run.progress import Progress
from rl_attn.run.signals import StopRequest, stop_requests
from rl_attn.supervised.backbones import parameters_of
from rl_attn.supervised.evaluation import means, measured
from rl_attn.supervised.faithfulness import confidence_falls, faithfulness
from rl_attn.supervised.loop import State, Trainer
from rl_attn.supervised.methods import Method
from rl_attn.supervised.settings import TrainSettings, method_of, seeds_of
from rl_attn.supervised.setup import fit_method, make_network, prepare_data, read_data
from rl_attn.supervised.showing import Sample, save
from rl_attn.supervised.spatial import save_arrays, spatial_variance
from rl_attn.supervised.tasks import Classes

#: What a test split is judged by; its name begins with "test".
TEST = "test"


def epochs(trainer: Trainer, sample: Sample, log: RunLog, stop: StopRequest) -> Pieces:
    """Epoch after epoch to the end of the run, or until asked to stop in the midst of one."""
    every = trainer.args.picture_interval
    while trainer.global_step < trainer.end:
        started = time.perf_counter()
        if not trainer.run_epoch(stop):
            yield trainer.global_step, None
            return
        logged = trainer.finish_epoch()
        logged["times/epoch"] = time.perf_counter() - started
        step = trainer.global_step
        log.row(logged, step)
        if step >= trainer.end or (every and trainer.epoch % every == 0):
            picture = sample.picture(sample.attention(trainer.network))
            log.picture("attention/frame_mask_map", picture, step)
        yield step, logged


def finish(trainer: Trainer, sample: Sample, before: Tensor, path: Path) -> dict[str, Any]:
    """Take the best network, write evaluation.json and the pictures."""
    network, best, args = trainer.network, trainer.best, trainer.args
    trainer.take_best()
    show(trainer, sample, before, path)
    runs_: list[dict[str, float]] = [{} for _ in range(network.copies)]
    confused = {}
    for name, batches in trainer.data.splits.items():
        if name.startswith(TEST):
            prefix = "" if name == TEST else f"{name}/"
            own = trainer.method.measures(network, batches, args.seed)
            looked, split = measured(network, batches), batches.split
            for found, columns in zip(runs_, looked, strict=True):
                values = means(columns, split, batches.task) | own
                found |= {prefix + key: value for key, value in values.items()}
            matrices = [batches.task.confusion(c["predictions"], split) for c in looked]
            if matrices[0] is not None:
                confused[name] = sum(matrices).tolist()
    for found, values in zip(runs_, further(trainer, path), strict=True):
        found |= values
    columns = {name: [run[name] for run in runs_] for name in runs_[0]}
    result = {
        "summary": {
            name: {"mean": fmean(values), "low": min(values), "high": max(values)}
            for name, values in columns.items()
        },
        "runs": [{"seed": s, **run} for s, run in zip(seeds_of(args), runs_, strict=True)],
        # Of each test split, true by predicted, summed over the runs; of numbers there is none.
        "confusion": {"classes": trainer.data.classes, **confused},
        "epochs": [epoch + 1 for epoch in best.get("epochs", [trainer.epoch - 1])],
        "selected": {"by": args.select, "on": args.select_on},
        "parameters": parameters_of(network.model) // network.copies,
    }
    write_text(path / "evaluation.json", json.dumps(result, indent=2) + "\n")
    return result


def show(trainer: Trainer, sample: Sample, before: Tensor, path: Path) -> None:
    """Pictures of where the network looked and looks, and the numbers behind them."""
    folder, after = path / "attention", sample.attention(trainer.network)
    save(sample.picture(before), folder / "before.png")
    save(sample.picture(after), folder / "after.png")
    said = sample.said(trainer.network, trainer.data.classes)
    save(sample.before_and_after(before, after, said), folder / "before_after.png")
    save_arrays(folder / "sample.npz", sample.arrays(after, said))
    test = trainer.data.splits[TEST]
    save_arrays(folder / "variance.npz", spatial_variance(trainer.network, test))


def further(trainer: Trainer, path: Path) -> list[dict[str, float]]:
    """What else a summary holds of each network: the score that it was selected by, where the
    method has one of its own (Learning to Look), and whether it decides by what it attends to."""
    args, network = trainer.args, trainer.network
    found: list[dict[str, float]] = [{} for _ in range(network.copies)]
    own = type(trainer.method).validation_score is not Method.validation_score
    if own and args.select == "method" and trainer.best:
        found = [{"selection_score": score} for score in trainer.best["scores"]]
    if args.faithfulness:
        curves = faithfulness(network, trainer.data.splits[TEST], args.faithfulness)
        write_text(path / "faithfulness.csv", curves.table().to_csv(index=False))
        found[0] |= curves.areas()
    if args.falsifier:
        falls = confidence_falls(network, trainer.data.splits[TEST])
        found = [{**values, "confidence_fall": v} for values, v in zip(found, falls, strict=True)]
    return found


def charts(task: Classes) -> dict[str, dict[str, list[str]]]:
    """What TensorBoard's custom scalars show first, of the validation split."""
    inside = ["validation/alpha", "validation/beta"]
    return {
        "how well it predicts, where it looks": {
            task.shown: [f"validation/{task.shown}"],
            "IoU of attention and masks": ["validation/iou$"],
            "attention inside (alpha) and outside (beta) the masks": inside,
            "loss": ["losses/total"],
        },
    }


def describe(values: dict[str, float]) -> str:
    """One line of progress."""
    named = {"losses/total": "loss", "validation/accuracy": "accuracy", "validation/mae": "MAE"}
    named |= {"validation/iou": "IoU"}
    return "  ".join(f"{word} {values[key]:.3f}" for key, word in named.items() if key in values)


def build(args: TrainSettings, device: torch.device) -> Trainer:
    """Data, network and method, checked; a trainer at its start."""
    method = method_of(args)
    data = prepare_data(args, method, read_data(args), device)
    if args.falsifier and data.splits[TEST].split.masks is None:
        raise UserError(f"--falsifier needs masks and {args.data} has none on its test pictures")
    network = make_network(args, method, data, device)
    torch.manual_seed(args.seed)
    extra = fit_method(args, method, network, data)
    return Trainer(args, method, network, extra, data)


def start(args: TrainSettings, path: Path, resumed: bool) -> int:
    """Begin the run in the folder `path`, or go on with it; returns the exit status."""
    device = pick_device(args.device)
    latest = latest_checkpoint(path) if resumed else None
    state = load_checkpoint(latest, State, device) if latest else None
    if resumed:
        check_tables(path)
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    trainer = build(args, device)
    if not resumed:
        create(path, args)
    return run(trainer, path, state, resumed)


def run(trainer: Trainer, path: Path, state: dict[str, Any] | None, resumed: bool) -> int:
    """Train from `state` (None: from the start) to the end; returns the exit status."""
    args, network = trainer.args, trainer.network
    sample = Sample(trainer.data.splits[TEST])
    before = sample.attention(network) if state is None else state["before"].cpu()
    if state is not None:
        with fitting(latest_checkpoint(path)):
            trainer.load_state_dict(state)
    weights = "ImageNet's unless noted" if args.weights == "auto" else args.weights
    print(
        f"{args.method} on {args.data}: {args.backbone} ({parameters_of(network.model):,} "
        f"parameters, weights: {weights}, attention at {network.layer or 'the input'}), "
        f"{len(trainer.train):,} pictures {trainer.data.size}, {trainer.train.split.labels.device} "
        f"in {network.precision}; tensorboard --logdir {path}",
        flush=True,
    )

    def save() -> None:
        step = trainer.global_step
        state = {**trainer.state_dict(), "before": before}
        save_checkpoint(path, state, step, args.keep_checkpoints)

    log = RunLog(path, trainer.global_step if resumed else None)
    with stop_requests() as stop:
        if state is None:
            log.layout(charts(trainer.data.task))
            log.picture("attention/frame_mask_map", sample.picture(before), 0)
        status = carry_out(
            epochs(trainer, sample, log, stop),
            stop,
            Progress(trainer.global_step, trainer.end, describe),
            save,
            interval=args.checkpoint_interval,
            clock=lambda _: time.monotonic(),
            again=f"continue with {typed(f'rl-attn train --resume {path}')}",
            log=log,
        )
    if status != 0:
        return status
    result = finish(trainer, sample, before, path)
    if args.keep_checkpoints:  # the best network in the place of what a run goes on from
        save_checkpoint(path, trainer.network_state(), trainer.global_step, 1)
    chosen = ", ".join(map(str, result["epochs"]))
    table = Table("", "mean", title=f"test, network of epoch {chosen}")
    for name, value in result["summary"].items():
        table.add_row(name.replace("_", " "), f"{value['mean']:.3f}")
    console().print(table)
    picture = path / "attention" / "before_after.png"
    say(
        done=path,
        results=path / "evaluation.json",
        picture=picture,
        page=f"rl-attn report {path}",
        next=f"rl-attn explain {path} IMAGE",
    )
    return 0
