"""PPO (Schulman et al. 2017) with the CAMAL loss: `rollout` plays, `update` learns.

CAMAL adds one term to the loss (Hundal et al. 2026, section 3.3),

    L = L_PPO + camal * mean(beta - alpha),

where alpha and beta are the mean attention inside and outside the mask of the targets, and
attention is the Grad-CAM of the critic's value V(s). The details of PPO are CleanRL's
(https://github.com/vwxyzjn/cleanrl, ppo_atari.py), but for time limits, whose last frame's value
is bootstrapped.

Letters: T steps, N lanes, B samples of a mini-batch.
"""

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rl_attn.agents import ActorCritic, Output, RolloutStorage, gae
from rl_attn.attention import (
    MaskWeights,
    alpha_beta,
    camal_loss,
    grad_cam,
    mask_weights,
    pool_mask,
)
from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.lane import Episode
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.scenarios import resolve
from rl_attn.errors import UserError
from rl_attn.rl.distributed import ALONE, Ranks, split_lanes
from rl_attn.rl.settings import Args
from rl_attn.rl.watch import attention_score


class TrainingError(Exception):
    """Training cannot go on; the message says where it broke."""


class Trainer:
    """The agent, its optimiser, its games and its place in the run."""

    def __init__(self, args: Args, device: torch.device, precision: str, ranks: Ranks = ALONE):
        """`ranks`: with whom the lanes and the work are shared (see `distributed.py`)."""
        self.args, self.device, self.precision, self.ranks = args, device, precision, ranks
        num_lanes = args.num_envs // ranks.size
        self.first_lane = ranks.rank * num_lanes
        self.prior = None
        if args.masks == "teacher" and args.camal:
            from rl_attn.rl.prior import Prior  # takes seconds, which other runs need not wait

            self.prior = Prior(args, device)
        torch.manual_seed(args.seed)
        self.lanes = Lanes(
            args.env,
            num_lanes,
            resolution=(args.width, args.height),
            rgb=args.rgb,
            frame_skip=args.frame_skip,
            targets=args.targets or None,
            seed=args.seed,
            first_lane=self.first_lane,
            num_groups=2 if device.type == "cuda" and num_lanes % 2 == 0 else 1,
        )
        self.agent = make_agent(args).to(device)
        if args.compile:  # the heads stay eager: compiled code cannot be differentiated twice
            self.agent.convolutions.compile()
        self.optimizer = torch.optim.Adam(
            self.agent.parameters(), lr=args.learning_rate, eps=1e-5, fused=True
        )
        self.storage = RolloutStorage(
            args.num_steps, num_lanes, self.lanes.frame_shape, args.frame_stack, device
        )
        self.random = torch.Generator(device).manual_seed(args.seed)
        self.global_step = 0
        self.end = args.num_updates * args.batch_size  # the run's last step
        self.returns: deque[float] = deque(maxlen=100)  # raw, of the last episodes
        self.best_return = -np.inf
        self.faults = 0  # of all games so far

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
        episodes: list[tuple[int, Episode]] = []  # with the step that ended them
        groups = range(self.lanes.num_groups)
        with self.autocast():  # once: its cache then keeps the weights that were cast
            for step in range(self.args.num_steps):
                for group in groups:
                    if step > 0:
                        episodes += self._receive(step - 1, group)
                    self._act(step, group)
            for group in groups:
                episodes += self._receive(self.args.num_steps - 1, group)
        self.global_step += self.args.batch_size
        self.faults = sum(self.ranks.gather(self.lanes.faults))
        ended = sorted(self.ranks.chain(episodes), key=lambda item: (item[0], item[1].lane))
        self.returns.extend(e.episode_return for _, e in ended if not e.fault)
        return [episode for _, episode in ended]

    def _act(self, step: int, group: int) -> None:
        lanes, storage = self.lanes.group_slice(group), self.storage
        output = self.agent(storage.observation(step, lanes))
        log_probs = output.logits.log_softmax(-1)
        noise = self.ranks.exponential(log_probs, self.random)
        actions = (log_probs.exp() / noise).argmax(-1)  # a sample of the softmax
        storage.actions[step, lanes] = actions
        storage.log_probs[step, lanes] = log_probs.gather(1, actions[:, None])[:, 0]
        storage.values[step, lanes] = output.value
        frames, masks = storage.inbox(step + 1, lanes)
        self.lanes.send(actions.cpu().numpy(), frames, masks, group)

    def _receive(self, step: int, group: int) -> list[tuple[int, Episode]]:
        lanes = self.lanes.group_slice(group)
        result = self.lanes.wait(group)
        self.storage.deliver(step + 1, lanes)
        limit = self.args.reward_clip or np.inf
        rewards = np.clip(result.rewards, -limit, limit)
        dones = result.terminated | result.truncated
        self.storage.record(step, lanes, rewards, dones, result.final_frames)
        return [(step, replace(e, lane=self.first_lane + e.lane)) for e in result.episodes]

    # ------------------------------------------------------------------ learn

    def update(self) -> dict[str, float]:
        """Several passes of mini-batches over the rollout; returns the means of what is logged."""
        args, storage = self.args, self.storage
        self._anneal()
        advantages, returns = self._advantages()
        flat = {
            "actions": storage.actions,
            "log_probs": storage.log_probs,
            "values": storage.values,
            "advantages": advantages,
            "returns": returns,
        }  # (T, N) each
        flat = {name: self.ranks.all_lanes(tensor).flatten() for name, tensor in flat.items()}
        rows = storage.rows(slice(0, args.num_steps), slice(None)).flatten(0, 1).to(self.device)
        masks, taught = self._masks() if args.camal else (None, {})
        weights = None if masks is None else self._mask_weights(masks)
        # CAMAL's mean is to be over the frames that have been labelled.
        camal = args.camal / (taught.get("teacher/labelled", 1.0) or 1.0)
        terms: list[dict[str, Tensor]] = []
        for _ in range(args.update_epochs):
            order = torch.randperm(args.batch_size, generator=self.random, device=self.device)
            for chosen in order.view(args.num_minibatches, -1):
                mine, local, share = self.ranks.own(chosen, args.num_envs)
                batch = {name: tensor[mine] for name, tensor in flat.items()}
                batch["all_advantages"] = flat["advantages"][chosen]
                stacks, seen = storage.stacks(rows[local]), weights and weights[local]
                terms.append(self._step(stacks, batch, seen, camal, share))
            if args.target_kl is not None and terms[-1]["losses/approx_kl"] > args.target_kl:
                break
        logged = self._means(terms) | taught
        logged["losses/explained_variance"] = explained_variance(flat["values"], flat["returns"])
        logged["charts/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        return logged

    def _step(
        self,
        stacks: Tensor,
        batch: dict[str, Tensor],
        weights: MaskWeights | None,
        camal: float,
        share: float = 1.0,
    ) -> dict[str, Tensor]:
        """One mini-batch, or this rank's share of it: losses, gradients, clipping, Adam."""
        args = self.args
        with self.autocast():
            output = self.agent(stacks, shift=weights is not None)
        loss, logged = ppo_loss(output, batch, args)
        losses = [loss]
        if weights is not None:
            extra = attention_loss(output, batch["actions"], weights, args)
            losses.append(camal * extra["attention/camal"])
            logged |= extra
        if not args.separate_clipping:
            losses = [sum(losses)]
        norms = self._gradients([share * part for part in losses])
        self.optimizer.step()
        return self.ranks.means(logged, share) | {"losses/grad_norm": torch.stack(norms).norm()}

    def _gradients(self, losses: list[Tensor]) -> list[Tensor]:
        """Sum of the losses' gradients, each clipped by itself; returns their norms before."""
        parameters, norms = list(self.agent.parameters()), []
        kept: list[Tensor | None] = [None] * len(parameters)
        for loss in losses:
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward(retain_graph=loss is not losses[-1])
            self.ranks.sum_gradients(parameters)
            norms.append(nn.utils.clip_grad_norm_(parameters, self.args.max_grad_norm))
            for i, (parameter, before) in enumerate(zip(parameters, kept, strict=True)):
                if before is not None:
                    parameter.grad = before if parameter.grad is None else parameter.grad + before
                kept[i] = parameter.grad
        return norms

    def _anneal(self) -> None:
        if self.args.anneal_lr:
            done = (self.global_step - self.args.batch_size) / self.args.batch_size
            rate = self.args.learning_rate * (1.0 - done / self.args.num_updates)
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

    def _masks(self) -> tuple[Tensor, dict[str, float]]:
        """The game's masks of the rollout, or a teacher's, (T, N, H, W); and what to log of it."""
        if self.prior is not None:
            return self.prior.masks(self.storage)
        return self.storage.masks[: self.args.num_steps], {}

    def _mask_weights(self, masks: Tensor) -> MaskWeights:
        """Every mask of the rollout on the grid of the feature maps, a few steps at a time."""
        grid, cells = self.agent.grid, self.agent.cells
        parts = []
        for some in (part.flatten(0, 1) for part in masks.split(16)):
            if self.args.compare == "mask-down":
                parts.append(mask_weights(pool_mask(some, grid, cells), grid))
            else:
                parts.append(mask_weights(some, grid, cells))
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
        """Everything that the rest of the run depends on, of all ranks, on every rank."""
        storage, first, ranks = self.storage, self.args.frame_stack, self.ranks
        lanes = self.lanes.state_dict()
        lanes["lanes"] = ranks.chain(lanes["lanes"])
        return {
            "agent": self.agent.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.get_state(),
            "lanes": lanes,
            "frames": ranks.all_lanes(storage.frames[:first]),
            "age": ranks.all_lanes(torch.from_numpy(storage.age[:1]))[0],
            "global_step": self.global_step,
            "returns": list(self.returns),
            "best_return": float(self.best_return),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`: each game is replayed to where it was."""
        state = split_lanes(state, self.ranks)
        load_agent(self.agent, state["agent"])
        self.optimizer.load_state_dict(state["optimizer"])
        storage = self.storage
        storage.frames[: self.args.frame_stack] = state["frames"]
        storage.age[0] = state["age"].numpy()
        try:
            self.lanes.load_state_dict(state["lanes"], *storage.inbox(0))
        except ValueError as error:
            raise UserError(f"the checkpoint is of other games: {error}") from None
        storage.deliver(0)
        self.random.set_state(state["random"].cpu())
        self.global_step = state["global_step"]
        self.returns.extend(state["returns"])
        self.best_return = state["best_return"]


def make_agent(args: Args) -> ActorCritic:
    """The network for these frames and this scenario's actions; starts no game."""
    actions = Game(resolve(args.env)).num_actions
    channels = args.frame_stack * (3 if args.rgb else 1)
    return ActorCritic(channels, (args.height, args.width), actions, args.tap, args.placement)


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
        every = batch.get("all_advantages", advantages)  # with other ranks' part of the mini-batch
        advantages = (advantages - every.mean()) / (every.std() + 1e-8)
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
    attention = grad_cam(
        score,
        output.features,
        normalization=args.normalization,
        second_order=args.second_order,
        shift=output.shift,
        dead=args.dead_maps,
    )
    alpha, beta = alpha_beta(attention, weights)
    present = weights.present.float()
    visible = present.sum().clamp_min(1)
    return {
        "attention/camal": camal_loss(alpha, beta, weights.present, args.empty_mask).mean(),
        "attention/alpha": (alpha.clamp_min(0) * present).sum() / visible,  # dead: nothing attended
        "attention/beta": (beta.clamp_min(0) * present).sum() / visible,
        "attention/empty_masks": 1 - present.mean(),
        "attention/dead_maps": (attention.detach().amax(dim=(1, 2)) <= 0).float().mean(),
    }


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns); NaN where the returns do not vary."""
    variance = returns.var()
    return float(1 - (returns - values).var() / variance) if variance > 0 else float("nan")
