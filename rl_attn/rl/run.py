"""The run around training: its loop, its log, its checkpoints and its end.

The algorithm is in `trainer.py`, the settings are in `settings.py`.
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from rl_attn.envs.protocol import Episode
from rl_attn.envs.registry import CANNOT_RESUME, find
from rl_attn.errors import UserError
from rl_attn.rl.agent_attention import attention_sample
from rl_attn.rl.distributed import ALONE, Ranks, check_lanes, own_device
from rl_attn.rl.play import Moment, Player, evaluation_seeds, summarize
from rl_attn.rl.settings import AgentSettings, absolute, load_settings, validate
from rl_attn.rl.trainer import AgentState, State, Trainer
from rl_attn.run.checkpoint import (
    best_checkpoint,
    fitting,
    latest_checkpoint,
    load_checkpoint,
    load_state,
    save_checkpoint,
    save_state,
    step_of,
)
from rl_attn.run.device import keep_freed_memory, pick_device, pick_precision
from rl_attn.run.ending import say, typed
from rl_attn.run.folder import create
from rl_attn.run.log import RunLog, check_tables
from rl_attn.run.loop import Pieces, carry_out
from rl_attn.run.progress import Progress
from rl_attn.run.signals import StopRequest, stop_requests
from rl_attn.run.track import check_tracking, tracked

#: What TensorBoard's custom scalars show first.
CHARTS = {
    "how well it plays, where it looks": {
        "return": ["charts/mean_return_100", "eval/episode_return"],
        "IoU of attention and targets": ["attention/iou$", "eval/iou$"],
        "attention inside (alpha) and outside (beta) the targets": [
            "attention/alpha",
            "attention/beta",
        ],
        "share of dead maps": ["attention/dead_maps"],
    },
}


def updates(trainer: Trainer, log: RunLog | None, stop: StopRequest) -> Pieces:
    """Rollout and update, again and again to the end of the run.

    `log` is None on all ranks but the first.
    """
    args = trainer.args
    if log is not None and log.last_step("evaluations") < trainer.global_step:
        evaluate(trainer, log, stop)  # the one that a stop broke off
    while trainer.global_step < trainer.end:
        started = time.perf_counter()
        episodes = trainer.rollout()
        played = time.perf_counter()
        logged = trainer.update()
        learned = time.perf_counter()
        logged |= measure_attention(trainer, log)
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
            evaluate(trainer, log, stop)
        trainer.storage.roll()
        yield trainer.global_step, logged


def record(
    trainer: Trainer, log: RunLog, episodes: list[Episode], logged: dict[str, float]
) -> None:
    """What an update brought."""
    step = trainer.global_step
    for episode in episodes:
        log.scalar("charts/episodic_return", episode.episode_return, step)
        log.scalar("charts/episodic_length", episode.length, step)
    log.row(logged, step)


def measure_attention(trainer: Trainer, log: RunLog | None) -> dict[str, float]:
    """IoU on some frames of the rollout, now and then with a picture."""
    args, ranks, step = trainer.args, trainer.ranks, trainer.global_step
    sample = attention_sample(
        trainer.agent,
        trainer.storage,
        args.attention_target,
        max(1, 64 // ranks.size),
        args.attention,
        trainer.method.observe,
    )
    update, every = step // args.batch_size, args.picture_interval
    due = every and (update == 1 or step >= trainer.end or update % every == 0)
    if log is not None and due:
        log.picture("attention/frame_mask_map", sample.picture(), step)
    seen = [(iou, count) for iou, count in ranks.gather((sample.iou, sample.visible)) if count]
    return {"attention/iou": weighted_mean(seen)}


class _Stopped(Exception):
    """Ends an evaluation."""


def evaluate(trainer: Trainer, log: RunLog, stop: StopRequest) -> None:
    """Now and then, means over a few fixed episodes, in environments of their own; training is not
    touched by it. Asked to stop, it ends without a row, and the resumed run makes it again."""
    args, step = trainer.args, trainer.global_step
    if not step or not args.eval_interval or not crossed(step, args.batch_size, args.eval_interval):
        return

    def look(_: Moment) -> None:
        if stop:
            raise _Stopped

    player = Player(trainer.agent, args, trainer.method)
    seeds = evaluation_seeds(args.eval_episodes)
    how = {"target": args.attention_target, "attention": args.attention}
    with suppress(_Stopped):
        episodes = player.play(args.num_envs, seeds, look=look, **how)
        means = {f"eval/{name}": value.mean for name, value in summarize(episodes).items()}
        log.row(means, step, "evaluations")


def crossed(step: int, batch: int, interval: int) -> bool:
    """Whether the last `batch` steps reached a multiple of `interval`."""
    return step // interval > (step - batch) // interval


def save(trainer: Trainer, log: RunLog | None) -> None:
    """A checkpoint now, and the agent beside it if the last episodes did better than any before.

    At the end of the run the last agent takes the place of all checkpoints.
    """
    keep, recent = trainer.args.keep_checkpoints, mean(trainer.returns)
    best = recent >= trainer.best_return
    if best:
        trainer.best_return = recent
    finished = keep > 0 and trainer.global_step >= trainer.end
    state = trainer.agent_state() if finished else trainer.state_dict()  # all ranks give theirs
    if log is None:
        return
    if best and not finished:
        save_state(best_checkpoint(log.path), trainer.agent_state())
    save_checkpoint(log.path, state, trainer.global_step, 1 if finished else keep)
    if best and finished:
        best_checkpoint(log.path).unlink(missing_ok=True)


def mean(values: Sequence[float]) -> float:
    """NaN for none."""
    return float(np.mean(values)) if len(values) else float("nan")


def weighted_mean(values: Sequence[tuple[float, int]]) -> float:
    """Mean of (value, count) pairs; NaN for none. One pair's value is returned as it is."""
    if len(values) <= 1:
        return values[0][0] if values else float("nan")
    return sum(value * count for value, count in values) / sum(count for _, count in values)


def prepare(args: AgentSettings, argv: list[str]) -> tuple[AgentSettings, Path]:
    """The run's settings, checked, and its folder."""
    if args.resume is None:
        validate(args)
        args = absolute(args)
        name = f"{label_of(args)}-s{args.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
        env = Path(args.env).stem if args.env.endswith(".cfg") else args.env
        return args, Path(args.run_dir or Path("runs") / env / name)
    others = [word for word in argv if word.startswith("--") and word.split("=")[0] != "--resume"]
    if others:
        raise UserError(f"--resume takes everything from the run: leave out {' '.join(others)}")
    path = Path(args.resume)
    return load_settings(path, training=True), path


def check_graphs(args: AgentSettings, device: torch.device, ranks: Ranks) -> None:
    """Refuse --cuda-graphs where there are none."""
    if args.cuda_graphs and device.type != "cuda":
        raise UserError(f"--cuda-graphs needs a GPU, and this run is on {device}: leave it out")
    if args.cuda_graphs and ranks.size > 1:
        raise UserError(f"--cuda-graphs works in one process, not in {ranks.size}: leave it out")


def label_of(args: AgentSettings) -> str:
    """The method in the name of a run's folder: vanilla, camal0.1, prior1."""
    weight = getattr(args, "camal", None)
    if weight is None or weight == 0:
        return "vanilla" if weight == 0 else args.method
    return f"{args.method}{weight:g}"


def training_state(latest: Path, device: torch.device) -> State:
    """What a run goes on from; UserError for a finished run, whose agent alone is left."""
    try:
        return load_checkpoint(latest, State, device)
    except UserError:
        if "optimizer" in load_state(latest, dict):
            raise
    raise UserError(
        f"{latest} is of a finished run and holds the agent alone, so the run cannot go on: put "
        "total_timesteps of its config.yaml back, or train again; --keep-checkpoints 0 keeps all"
    )


def start(parsed: AgentSettings, argv: list[str], ranks: Ranks) -> int:
    """Everything before the games (settings, device, run folder, checkpoint), then the run; returns
    the exit status."""
    args, path = ranks.once(lambda: prepare(parsed, argv))
    check_lanes(args.num_envs, ranks)
    ranks.once(lambda: find(args).check_room(args.num_envs))
    if ranks.size > 1 and args.recurrent != "none":
        raise UserError(f"--recurrent {args.recurrent} works in one process, not in {ranks.size}")
    device = pick_device(own_device(args.device, ranks))
    check_graphs(args, device, ranks)
    precision = pick_precision(args.precision, device)
    latest = latest_checkpoint(path) if parsed.resume else None  # None: before the first one
    if latest is not None and (step_of(latest) or 0) >= args.num_updates * args.batch_size:
        finished = load_checkpoint(latest, AgentState, more=True)
        print(f"{path} is finished: {finished['global_step']:,} steps")
        return 0
    state = training_state(latest, device) if latest is not None else None
    mirrored = args.track and ranks.first
    if mirrored:
        check_tracking()
    if parsed.resume:
        check_tables(path)
    else:
        ranks.once(lambda: create(path, args))
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tracked(path, asdict(args)) if mirrored else nullcontext():
        return run(args, path, device, precision, state, parsed.resume is not None, ranks)


def run(
    args: AgentSettings,
    path: Path,
    device: torch.device,
    precision: str,
    state: State | None,
    resumed: bool,
    ranks: Ranks = ALONE,
) -> int:
    """Train from `state` (None: from the start) to the end; returns the exit status."""
    replays = find(args).replays
    if state is not None and not replays:
        raise UserError(f"{args.env} {CANNOT_RESUME}")
    with stop_requests() as stop, Trainer(args, device, precision, ranks) as trainer:
        if state is None:
            trainer.start()
        else:
            with fitting(latest_checkpoint(path) or path):
                trainer.load_state_dict(state)
        print(f"{args.env} on {device} in {precision}; tensorboard --logdir {path}", flush=True)
        if not replays:
            print(f"note: {args.env} {CANNOT_RESUME}", flush=True)
        log = RunLog(path, trainer.global_step if resumed else None) if ranks.first else None
        if log is not None and not resumed:
            log.layout(CHARTS)
        status = carry_out(
            updates(trainer, log, stop),
            stop,
            Progress(trainer.global_step, trainer.end),
            lambda: save(trainer, log),
            interval=args.checkpoint_interval,
            again=f"continue with {typed(f'rl-attn ppo --resume {path}')}",
            log=log,
            agree=ranks.any,
            first=ranks.first,
        )
    if status == 0:
        say(done=path, measure=f"rl-attn evaluate {path}", watch=f"rl-attn watch {path}")
    return status
