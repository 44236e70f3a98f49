"""The run around training: its loop, its log, its checkpoints and its end.

The algorithm is in `trainer.py`, the settings are in `settings.py`.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rl_attn.envs.protocol import Episode
from rl_attn.errors import NOT_FINITE, TrainingError, UserError
from rl_attn.rl.distributed import ALONE, Ranks, check_lanes, joined, own_device
from rl_attn.rl.play import Player, evaluation_seeds, summarize
from rl_attn.rl.settings import Args, load_settings, validate
from rl_attn.rl.trainer import State, Trainer
from rl_attn.rl.watch import attention_sample
from rl_attn.run.checkpoint import fitting, latest_checkpoint, load_checkpoint, save_checkpoint
from rl_attn.run.device import keep_freed_memory, pick_device, pick_precision
from rl_attn.run.folder import create
from rl_attn.run.log import RunLog
from rl_attn.run.plugins import settled
from rl_attn.run.progress import Progress, StopRequest, stop_requests


def train(trainer: Trainer, log: RunLog | None, progress: Progress, stop: StopRequest) -> None:
    """Repeat rollout and update to the end of the run, or until any rank is asked to stop.

    `log` is None on all ranks but the first.
    """
    args, ranks = trainer.args, trainer.ranks
    saved, end = trainer.global_step, trainer.end
    stopping = ranks.any(bool(stop))
    while trainer.global_step < end and not stopping:
        started = time.perf_counter()
        episodes = trainer.rollout()
        played = time.perf_counter()
        logged = trainer.update()
        learned = time.perf_counter()
        step = trainer.global_step
        logged |= watch(trainer, log)
        logged |= {
            "charts/mean_return_100": mean(trainer.returns),
            "charts/faults": trainer.faults,
            "charts/SPS": args.batch_size / (time.perf_counter() - started),
            "times/rollout": played - started,
            "times/update": learned - played,
            "times/log": time.perf_counter() - learned,
        }
        if log is not None:
            record(trainer, log, episodes, logged)
        trainer.storage.roll()
        stopping = ranks.any(bool(stop))  # asked once an update: all ranks then do the same
        if step >= end or stopping or step - saved >= args.checkpoint_interval:
            save(trainer, log)
            saved = step
        progress.update(step, logged)


def record(
    trainer: Trainer, log: RunLog, episodes: list[Episode], logged: dict[str, float]
) -> None:
    """What an update brought; now and then an evaluation."""
    args, step = trainer.args, trainer.global_step
    for episode in episodes:
        log.scalar("charts/episodic_return", episode.episode_return, step)
        log.scalar("charts/episodic_length", episode.length, step)
    log.row(logged, step)
    if args.eval_interval and crossed(step, args.batch_size, args.eval_interval):
        log.row(evaluate(trainer), step, "evaluations")


def watch(trainer: Trainer, log: RunLog | None) -> dict[str, float]:
    """IoU on some frames of the rollout, now and then with a picture."""
    args, ranks, update = (
        trainer.args,
        trainer.ranks,
        trainer.global_step // trainer.args.batch_size,
    )
    sample = attention_sample(
        trainer.agent, trainer.storage, args.attention_target, max(1, 64 // ranks.size)
    )
    due = args.picture_interval and (update == 1 or update % args.picture_interval == 0)
    if log is not None and due:
        log.picture("attention/frame_mask_map", sample.picture(), trainer.global_step)
    seen = [(iou, count) for iou, count in ranks.gather((sample.iou, sample.visible)) if count]
    return {"attention/iou": weighted_mean(seen)}


def evaluate(trainer: Trainer) -> dict[str, float]:
    """Means over a few fixed episodes, on lanes of their own; training is not touched by it."""
    args = trainer.args
    player, seeds = Player(trainer.agent, args), evaluation_seeds(args.eval_episodes)
    episodes = player.play(args.num_envs, seeds, target=args.attention_target)
    return {f"eval/{name}": value.mean for name, value in summarize(episodes).items()}


def crossed(step: int, batch: int, interval: int) -> bool:
    """Whether the last `batch` steps reached a multiple of `interval`."""
    return step // interval > (step - batch) // interval


def save(trainer: Trainer, log: RunLog | None) -> None:
    """A checkpoint now; also the best one if the last episodes did better than any before."""
    recent = mean(trainer.returns)
    best = recent >= trainer.best_return
    if best:
        trainer.best_return = recent
    state, keep = trainer.state_dict(), trainer.args.keep_checkpoints  # all ranks give theirs
    if log is not None:
        save_checkpoint(log.path, state, trainer.global_step, keep, best)


def mean(values: Sequence[float]) -> float:
    """NaN for none."""
    return float(np.mean(values)) if len(values) else float("nan")


def weighted_mean(values: Sequence[tuple[float, int]]) -> float:
    """Mean of (value, count) pairs; NaN for none. One pair's value is returned as it is."""
    if len(values) <= 1:
        return values[0][0] if values else float("nan")
    return sum(value * count for value, count in values) / sum(count for _, count in values)


def prepare(args: Args, argv: list[str]) -> tuple[Args, Path]:
    """The run's settings, checked, and its folder."""
    if args.resume is None:
        validate(args)
        args = replace(args, imports=settled(args.imports))
        name = f"{label_of(args)}-s{args.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
        return args, Path(args.run_dir or Path("runs") / args.env / name)
    others = [word for word in argv if word.startswith("--") and word.split("=")[0] != "--resume"]
    if others:
        raise UserError(f"--resume takes everything from the run: leave out {' '.join(others)}")
    path = Path(args.resume)
    return load_settings(path), path


def label_of(args: Args) -> str:
    """The method in the name of a run's folder: vanilla, camal0.1, prior1."""
    weight = getattr(args, "camal", None)
    if weight is None or weight == 0:
        return "vanilla" if weight == 0 else args.method
    return f"{args.method}{weight:g}"


def last_state(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The newest checkpoint of a run; None if it was interrupted before the first."""
    latest = latest_checkpoint(path)
    return load_checkpoint(latest, State, device) if latest else None


def start_tracking(args: Args, path: Path) -> None:
    """Mirror TensorBoard to Weights & Biases."""
    try:
        import wandb
    except ImportError:
        raise UserError("--track needs wandb: pip install 'rl-attn[track]'") from None
    wandb.init(
        project="rl-attn", name=path.name, dir=path, config=asdict(args), sync_tensorboard=True
    )


def start(parsed: Args, argv: list[str]) -> int:
    """The run of these settings, over all ranks; returns the exit status."""
    with joined() as ranks:
        return prepare_and_run(parsed, argv, ranks)


def prepare_and_run(parsed: Args, argv: list[str], ranks: Ranks) -> int:
    """Everything before the games: settings, device, run folder, checkpoint."""
    args, path = ranks.once(lambda: prepare(parsed, argv))
    check_lanes(args.num_envs, ranks)
    device = pick_device(own_device(args.device, ranks))
    precision = pick_precision(args.precision, device)
    state = last_state(path, device) if parsed.resume else None
    if state and state["global_step"] >= args.num_updates * args.batch_size:
        print(f"{path} is finished: {state['global_step']:,} steps")
        return 0
    if args.track and ranks.first:
        start_tracking(args, path)
    if not parsed.resume:
        ranks.once(lambda: create(path, args))
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    return run(args, path, device, precision, state, parsed.resume is not None, ranks)


def run(
    args: Args,
    path: Path,
    device: torch.device,
    precision: str,
    state: dict[str, Any] | None,
    resumed: bool,
    ranks: Ranks = ALONE,
) -> int:
    """Train from `state` (None: from the start) to the end; returns the exit status."""
    with stop_requests() as stop, Trainer(args, device, precision, ranks) as trainer:
        if state is None:
            trainer.start()
        else:
            with fitting(latest_checkpoint(path)):
                trainer.load_state_dict(state)
        print(f"{args.env} on {device} in {precision}; tensorboard --logdir {path}", flush=True)
        log = RunLog(path, trainer.global_step if resumed else None) if ranks.first else None
        try:
            with log or nullcontext(), Progress(trainer.global_step, trainer.end) as progress:
                train(trainer, log, progress, stop)
        except TrainingError as error:
            if ranks.first:
                print(f"error: {error}", file=sys.stderr)
            return NOT_FINITE
    if stop:
        print(f"stopped at step {trainer.global_step:,}; continue with --resume {path}")
        return 128 + stop.signal
    print(f"done: {path}; look at it with python -m rl_attn.evaluate {path}")
    return 0
