"""Train a PPO agent that looks at its targets.

    python -m rl_attn.ppo --env DefendCenter --camal 1.0       # CAMAL (Hundal et al. 2026)
    python -m rl_attn.ppo --env DefendCenter --camal 0         # Vanilla PPO
    tensorboard --logdir runs

PPO (Schulman et al. 2017) as CleanRL runs it, one file to read in a sitting: `Trainer.rollout`
plays, `Trainer.update` learns, `train` repeats them. CAMAL adds one term to the loss,

    L = L_PPO + camal * mean(beta - alpha),

where alpha and beta are the mean attention inside and outside the mask of the targets, and
attention is the Grad-CAM of the critic's value V(s) (section 3.3). Defaults are Table 8's, save
for the frame size and the number of steps: `--config configs/ppo/camal_paper.yaml` has those.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from agents import ActorCritic, Output, RolloutStorage, feature_grid, gae
from envs.game import Game, screen_resolution
from envs.lane import Episode
from envs.lanes import Lanes
from envs.scenarios import resolve
from rl_attn import runs
from rl_attn.attention import MaskWeights, alpha_beta, camal_loss, grad_cam, mask_weights
from rl_attn.cli import UserError, parse, run_command
from rl_attn.device import keep_freed_memory, pick_device, pick_precision
from rl_attn.progress import Progress, StopRequest, stop_requests
from rl_attn.watch import attention_sample, attention_score


@dataclass
class Args:
    """Train a PPO agent on Doom, with the CAMAL loss on the attention of its critic."""

    config: str | None = None
    """YAML file with values for these flags; flags override it"""
    resume: str | None = None
    """folder of an interrupted run to continue; everything else is taken from it"""
    run_dir: str | None = None
    """folder of this run (default: runs/<env>/<method>-s<seed>-<time>)"""

    env: str = "DefendCenter"
    """Basic, DefendLine, DefendCenter, TakeCover, DeadlyCorridor, HealthGathering,
    PredictPosition or MyWayHome"""
    targets: tuple[str, ...] = ()
    """what to attend to: object names (DoomImpBall) or categories (category:Monster);
    empty: the scenario's own"""
    width: int = 160
    """frame width in pixels"""
    height: int = 120
    """frame height in pixels"""
    rgb: bool = False
    """colour frames instead of gray ones"""
    frame_skip: int = 4
    """game tics an action is repeated for"""
    frame_stack: int = 4
    """frames the network sees, the current one included"""

    camal: float = 1.0
    """coefficient of the CAMAL loss; 0 is Vanilla PPO"""
    attention_target: Literal["value", "action"] = "value"
    """whose attention: the critic's value (the paper) or the taken action's logit"""
    empty_mask: Literal["skip", "suppress"] = "skip"
    """frames without a visible target: no CAMAL loss, or suppress all attention"""
    second_order: bool = True
    """let the CAMAL loss reach the layers above the feature maps"""

    total_timesteps: int = 100_000
    """agent steps of the whole run, over all lanes"""
    num_envs: int = 8
    """games played at once"""
    num_steps: int = 128
    """steps of each game in a rollout"""
    update_epochs: int = 4
    """passes over each rollout"""
    num_minibatches: int = 4
    """mini-batches a pass"""
    learning_rate: float = 2.5e-4
    """of Adam"""
    anneal_lr: bool = True
    """lower the learning rate linearly to zero"""
    gamma: float = 0.99
    """discount factor"""
    gae_lambda: float = 0.95
    """lambda of generalised advantage estimation"""
    norm_adv: bool = True
    """normalise advantages in each mini-batch"""
    clip_coef: float = 0.1
    """clipping of the policy's ratio"""
    clip_vloss: bool = True
    """clip the value loss too"""
    ent_coef: float = 0.01
    """weight of the entropy bonus"""
    vf_coef: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """gradients are clipped to this norm"""
    reward_clip: float = 1.0
    """learn from rewards clipped to [-this, this]; 0: as they are (returns are logged raw)"""
    target_kl: float | None = None
    """end an update early when the policy has moved this far"""

    seed: int = 1
    """of everything random"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware is fast at it"""
    compile: bool = False
    """torch.compile the convolutions"""
    threads: int = 0
    """CPU threads of torch (0: its own choice)"""

    checkpoint_interval: int = 20_000
    """steps between checkpoints"""
    keep_checkpoints: int = 3
    """how many of the last checkpoints stay"""
    eval_interval: int = 0
    """steps between evaluations on lanes of their own (0: never)"""
    eval_episodes: int = 10
    """episodes of such an evaluation"""
    picture_interval: int = 20
    """updates between pictures of attention (0: never)"""
    track: bool = False
    """send the logs to Weights & Biases too (pip install 'rl-attn[track]')"""

    @property
    def batch_size(self) -> int:
        return self.num_envs * self.num_steps


class TrainingError(Exception):
    """Training cannot go on; the message says where it broke."""


class Trainer:
    """The agent, its optimiser, its games and its place in the run."""

    def __init__(self, args: Args, device: torch.device, precision: str):
        self.args, self.device, self.precision = args, device, precision
        torch.manual_seed(args.seed)
        self.lanes = Lanes(
            args.env,
            args.num_envs,
            resolution=(args.width, args.height),
            rgb=args.rgb,
            frame_skip=args.frame_skip,
            targets=args.targets or None,
            seed=args.seed,
            num_groups=2 if device.type == "cuda" and args.num_envs % 2 == 0 else 1,
        )
        self.agent = make_agent(args).to(device)
        if args.compile:  # the heads stay eager: compiled code cannot be differentiated twice
            self.agent.convolutions.compile()
        self.optimizer = torch.optim.Adam(
            self.agent.parameters(), lr=args.learning_rate, eps=1e-5, fused=True
        )
        self.storage = RolloutStorage(
            args.num_steps, args.num_envs, self.lanes.frame_shape, args.frame_stack, device
        )
        self.random = torch.Generator(device).manual_seed(args.seed)
        self.global_step = 0
        self.num_updates = args.total_timesteps // args.batch_size
        self.end = self.num_updates * args.batch_size  # the run's last step
        self.returns: deque[float] = deque(maxlen=100)  # raw, of the last episodes
        self.best_return = -np.inf

    def start(self) -> None:
        """Begin every lane's first episode."""
        self.lanes.reset(*self.storage.inbox(0))
        self.storage.deliver(0)

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.lanes.close()

    def autocast(self) -> torch.autocast:
        enabled = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    # ------------------------------------------------------------------ play

    @torch.no_grad()
    def rollout(self) -> list[Episode]:
        """Play num_steps in every lane; returns the episodes that ended.

        Lanes may form two groups: while the policy acts for one, the other's games step.
        """
        episodes = []
        groups = range(self.lanes.num_groups)
        for step in range(self.args.num_steps):
            for group in groups:
                if step > 0:
                    episodes += self._receive(step - 1, group)
                self._act(step, group)
        for group in groups:
            episodes += self._receive(self.args.num_steps - 1, group)
        self.global_step += self.args.batch_size
        self.returns.extend(e.episode_return for e in episodes if not e.fault)
        return episodes

    def _act(self, step: int, group: int) -> None:
        lanes, storage = self.lanes.group_slice(group), self.storage
        with self.autocast():
            output = self.agent(storage.observation(step, lanes))
        log_probs = output.logits.log_softmax(-1)
        noise = torch.empty_like(log_probs).exponential_(generator=self.random)
        actions = (log_probs.exp() / noise).argmax(-1)  # a sample of the softmax
        storage.actions[step, lanes] = actions
        storage.log_probs[step, lanes] = log_probs.gather(1, actions[:, None])[:, 0]
        storage.values[step, lanes] = output.value
        frames, masks = storage.inbox(step + 1, lanes)
        self.lanes.send(actions.cpu().numpy(), frames, masks, group)

    def _receive(self, step: int, group: int) -> list[Episode]:
        lanes = self.lanes.group_slice(group)
        result = self.lanes.wait(group)
        self.storage.deliver(step + 1, lanes)
        limit = self.args.reward_clip or np.inf
        rewards = np.clip(result.rewards, -limit, limit)
        dones = result.terminated | result.truncated
        self.storage.record(step, lanes, rewards, dones, result.final_frames)
        return result.episodes

    # ------------------------------------------------------------------ learn

    def update(self) -> dict[str, float]:
        """Several passes of mini-batches over the rollout; returns the means of what is logged."""
        args, storage = self.args, self.storage
        self._anneal()
        advantages, returns = self._advantages()
        flat = {
            "actions": storage.actions.flatten(),
            "log_probs": storage.log_probs.flatten(),
            "values": storage.values.flatten(),
            "advantages": advantages.flatten(),
            "returns": returns.flatten(),
        }
        rows = storage.rows(slice(0, args.num_steps), slice(None)).flatten(0, 1).to(self.device)
        weights = self._mask_weights() if args.camal else None
        terms: list[dict[str, Tensor]] = []
        for _ in range(args.update_epochs):
            order = torch.randperm(args.batch_size, generator=self.random, device=self.device)
            for chosen in order.view(args.num_minibatches, -1):
                with self.autocast():
                    output = self.agent(storage.stacks(rows[chosen]), shift=weights is not None)
                batch = {name: tensor[chosen] for name, tensor in flat.items()}
                loss, logged = ppo_loss(output, batch, args)
                if weights is not None:
                    extra = attention_loss(output, batch["actions"], weights[chosen], args)
                    loss = loss + args.camal * extra["attention/camal"]
                    logged |= extra
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = nn.utils.clip_grad_norm_(self.agent.parameters(), args.max_grad_norm)
                self.optimizer.step()
                terms.append(logged | {"losses/grad_norm": norm})
            if args.target_kl is not None and terms[-1]["losses/approx_kl"] > args.target_kl:
                break
        logged = self._means(terms)
        logged["losses/explained_variance"] = explained_variance(flat["values"], flat["returns"])
        logged["charts/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        return logged

    def _anneal(self) -> None:
        if self.args.anneal_lr:
            done = (self.global_step - self.args.batch_size) / self.args.batch_size
            rate = self.args.learning_rate * (1.0 - done / self.num_updates)
            self.optimizer.param_groups[0]["lr"] = rate

    @torch.no_grad()
    def _advantages(self) -> tuple[Tensor, Tensor]:
        """(T, N) advantages and returns; the value of a cut-off episode's last frame is added."""
        args, storage = self.args, self.storage
        rewards = torch.from_numpy(storage.rewards).to(self.device, copy=True)
        dones = torch.from_numpy(storage.dones).to(self.device)
        with self.autocast():
            last_value = self.agent(storage.observation(args.num_steps)).value
            if storage.final_frames:
                value = self.agent(storage.final_stacks()).value
                steps = [f.step for f in storage.final_frames]
                lanes = [f.lane for f in storage.final_frames]
                rewards[steps, lanes] += args.gamma * value
        values = storage.values
        advantages = gae(rewards, values, dones, last_value, args.gamma, args.gae_lambda)
        return advantages, advantages + values

    def _mask_weights(self) -> MaskWeights:
        """Every mask of the rollout on the grid of the feature maps, a few steps at a time."""
        masks = self.storage.masks[: self.args.num_steps]
        parts = [mask_weights(some.flatten(0, 1), self.agent.grid) for some in masks.split(16)]
        return MaskWeights(*(torch.cat(field) for field in zip(*parts, strict=True)))

    def _means(self, terms: list[dict[str, Tensor]]) -> dict[str, float]:
        """Means over the mini-batches, after a look for the first value that is not finite."""
        names = list(terms[0])
        table = torch.stack([torch.stack([t[name].detach() for name in names]) for t in terms])
        table = table.double().cpu()  # the update's one wait for the device
        if not table.isfinite().all():
            row, column = table.isfinite().logical_not().nonzero()[0].tolist()
            raise TrainingError(
                f"{names[column]} became {table[row, column]:g} at step {self.global_step}, "
                f"mini-batch {row + 1} of {len(terms)}: the last checkpoint is from before; try a "
                "lower --learning-rate or --camal, or --precision fp32"
            )
        return dict(zip(names, table.mean(0).tolist(), strict=True))

    # ------------------------------------------------------------------ keep

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        storage, first = self.storage, self.args.frame_stack
        return {
            "agent": self.agent.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.get_state(),
            "lanes": self.lanes.state_dict(),
            "frames": storage.frames[:first],
            "age": torch.from_numpy(storage.age[0]),
            "global_step": self.global_step,
            "returns": list(self.returns),
            "best_return": float(self.best_return),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`: each game is replayed to where it was."""
        load_agent(self.agent, state["agent"])
        self.optimizer.load_state_dict(state["optimizer"])
        storage = self.storage
        storage.frames[: self.args.frame_stack] = state["frames"]
        storage.age[0] = state["age"].numpy()
        self.lanes.load_state_dict(state["lanes"], *storage.inbox(0))
        storage.deliver(0)
        self.random.set_state(state["random"].cpu())
        self.global_step = state["global_step"]
        self.returns.extend(state["returns"])
        self.best_return = state["best_return"]


def make_agent(args: Args) -> ActorCritic:
    """The network for these frames and this scenario's actions; starts no game."""
    actions = Game(resolve(args.env)).num_actions
    channels = args.frame_stack * (3 if args.rgb else 1)
    return ActorCritic(channels, (args.height, args.width), actions)


def load_agent(agent: ActorCritic, state: dict[str, Tensor]) -> None:
    """Weights of a checkpoint; a UserError if they are another network's."""
    try:
        agent.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the checkpoint is of another network: {reason}") from None


def ppo_loss(
    output: Output, batch: dict[str, Tensor], args: Args
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped objective (Schulman et al. 2017, Eq. 7 and 9), and its parts for the log."""
    all_log_probs = output.logits.log_softmax(-1)  # (B, actions)
    log_probs = all_log_probs.gather(1, batch["actions"][:, None])[:, 0]
    entropy = -(all_log_probs.exp() * all_log_probs).sum(-1).mean()
    log_ratio = log_probs - batch["log_probs"]
    ratio = log_ratio.exp()

    advantages = batch["advantages"]
    if args.norm_adv:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
    policy_loss = -torch.minimum(advantages * ratio, advantages * clipped).mean()

    error = (output.value - batch["returns"]).square()
    if args.clip_vloss:
        change = (output.value - batch["values"]).clamp(-args.clip_coef, args.clip_coef)
        error = torch.maximum(error, (batch["values"] + change - batch["returns"]).square())
    value_loss = 0.5 * error.mean()

    loss = policy_loss - args.ent_coef * entropy + args.vf_coef * value_loss
    return loss, {
        "losses/policy_loss": policy_loss,
        "losses/value_loss": value_loss,
        "losses/entropy": entropy,
        "losses/approx_kl": ((ratio - 1) - log_ratio).mean(),
        "losses/clipfrac": ((ratio - 1).abs() > args.clip_coef).float().mean(),
    }


def attention_loss(
    output: Output, actions: Tensor, weights: MaskWeights, args: Args
) -> dict[str, Tensor]:
    """CAMAL on a mini-batch (Eq. 2), with its parts for the log."""
    score = attention_score(output, actions, args.attention_target)
    attention = grad_cam(score, output.features, second_order=args.second_order, shift=output.shift)
    alpha, beta = alpha_beta(attention, weights)
    present = weights.present.float()
    visible = present.sum().clamp_min(1)
    return {
        "attention/camal": camal_loss(alpha, beta, weights.present, args.empty_mask).mean(),
        "attention/alpha": (alpha * present).sum() / visible,
        "attention/beta": (beta * present).sum() / visible,
        "attention/empty_masks": 1 - present.mean(),
        "attention/dead_maps": (attention.detach().amax(dim=(1, 2)) == 0).float().mean(),
    }


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns); NaN where the returns do not vary."""
    variance = returns.var()
    return float(1 - (returns - values).var() / variance) if variance > 0 else float("nan")


# ---------------------------------------------------------------------- the run


def train(trainer: Trainer, log: runs.RunLog, progress: Progress, stop: StopRequest) -> None:
    """Repeat rollout and update to the end of the run, or until asked to stop."""
    args, saved, end = trainer.args, trainer.global_step, trainer.end
    while trainer.global_step < end and not stop:
        started = time.perf_counter()
        episodes = trainer.rollout()
        played = time.perf_counter()
        logged = trainer.update()
        learned = time.perf_counter()
        step = trainer.global_step
        logged |= watch(trainer, log)
        logged |= {
            "charts/mean_return_100": mean(trainer.returns),
            "charts/faults": trainer.lanes.faults,
            "charts/SPS": args.batch_size / (time.perf_counter() - started),
            "times/rollout": played - started,
            "times/update": learned - played,
            "times/log": time.perf_counter() - learned,
        }
        for episode in episodes:
            log.scalar("charts/episodic_return", episode.episode_return, step)
            log.scalar("charts/episodic_length", episode.length, step)
        log.row(logged, step)
        trainer.storage.roll()
        if step >= end or stop or step - saved >= args.checkpoint_interval:
            save(trainer, log.path)
            saved = step
        progress.update(step, logged)


def watch(trainer: Trainer, log: runs.RunLog) -> dict[str, float]:
    """IoU on some frames of the rollout, now and then with a picture."""
    args, update = trainer.args, trainer.global_step // trainer.args.batch_size
    sample = attention_sample(trainer.agent, trainer.storage, args.attention_target)
    if args.picture_interval and (update == 1 or update % args.picture_interval == 0):
        log.picture("attention/frame_mask_map", sample.picture(), trainer.global_step)
    return {"attention/iou": sample.iou}


def save(trainer: Trainer, path: Path) -> None:
    """A checkpoint now; also the best one if the last episodes did better than any before."""
    recent = mean(trainer.returns)
    best = recent >= trainer.best_return
    if best:
        trainer.best_return = recent
    keep = trainer.args.keep_checkpoints
    runs.save_checkpoint(path, trainer.state_dict(), trainer.global_step, keep, best)


def mean(values: Sequence[float]) -> float:
    """NaN for none."""
    return float(np.mean(values)) if len(values) else float("nan")


def validate(args: Args) -> None:
    """Refuse what cannot work, before any game starts."""
    positive = (
        "width height frame_skip frame_stack total_timesteps num_envs num_steps update_epochs "
        "num_minibatches learning_rate checkpoint_interval keep_checkpoints eval_episodes"
    )
    for name in positive.split():
        if getattr(args, name) <= 0:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} must be positive, got {getattr(args, name)}")
    if args.camal < 0:
        raise UserError(f"--camal must be 0 (Vanilla) or more, got {args.camal}")
    if args.batch_size % args.num_minibatches:
        raise UserError(
            f"--num-envs {args.num_envs} x --num-steps {args.num_steps} = {args.batch_size} steps "
            f"do not divide into --num-minibatches {args.num_minibatches}"
        )
    if args.total_timesteps < args.batch_size:
        raise UserError(
            f"--total-timesteps {args.total_timesteps} is less than one rollout of "
            f"{args.batch_size} steps (--num-envs x --num-steps)"
        )
    try:
        resolve(args.env, args.targets or None)
        screen_resolution((args.width, args.height))
        feature_grid((args.height, args.width))
    except ValueError as error:
        raise UserError(str(error)) from None


def prepare(args: Args, argv: list[str]) -> tuple[Args, Path, dict[str, Any] | None]:
    """The run's settings, its folder, and the checkpoint to continue from, if any."""
    if args.resume is None:
        validate(args)
        method = f"camal{args.camal:g}" if args.camal else "vanilla"
        name = f"{method}-s{args.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
        return args, Path(args.run_dir or Path("runs") / args.env / name), None
    path = Path(args.resume)
    others = [word for word in argv if word.startswith("--") and word.split("=")[0] != "--resume"]
    if others:
        raise UserError(f"--resume takes everything from the run: leave out {' '.join(others)}")
    args = runs.load_args(path, Args)
    validate(args)
    latest = runs.latest_checkpoint(path)
    return args, path, runs.load_checkpoint(latest) if latest else None


def start_tracking(args: Args, path: Path) -> None:
    """Mirror TensorBoard to Weights & Biases."""
    try:
        import wandb
    except ImportError:
        raise UserError("--track needs wandb: pip install 'rl-attn[track]'") from None
    wandb.init(
        project="rl-attn", name=path.name, dir=path, config=asdict(args), sync_tensorboard=True
    )


def main(argv: list[str]) -> int:
    args, path, state = prepare(parse(Args, argv, "python -m rl_attn.ppo"), argv)
    device = pick_device(args.device)
    precision = pick_precision(args.precision, device)
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.track:
        start_tracking(args, path)
    if args.resume is None and state is None and not (path / "config.yaml").exists():
        runs.create(path, args)
    with stop_requests() as stop, Trainer(args, device, precision) as trainer:
        if state is None:
            trainer.start()
        else:
            trainer.load_state_dict(state)
        if trainer.global_step >= trainer.end:
            print(f"{path} is finished: {trainer.global_step:,} steps")
            return 0
        print(f"{args.env} on {device} in {precision}; tensorboard --logdir {path}", flush=True)
        log = runs.RunLog(path, trainer.global_step if state or args.resume else None)
        with log, Progress(trainer.global_step, trainer.end) as progress:
            train(trainer, log, progress, stop)
    if stop:
        print(f"stopped at step {trainer.global_step:,}; continue with --resume {path}")
        return 128 + stop.signal
    print(f"done: {path}; look at it with python -m rl_attn.evaluate {path}")
    return 0


if __name__ == "__main__":
    run_command(main)
