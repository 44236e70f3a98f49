"""Learning: several passes of mini-batches over a rollout, each one step of Adam.

The details are CleanRL's (https://github.com/vwxyzjn/cleanrl, ppo_atari.py), but for time limits,
whose last frame's value is bootstrapped. The method adds a loss of its own to each mini-batch's.

Letters: T steps, N environments, B samples of a mini-batch.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_attn.agents import Memory, Network, RolloutStorage, gae
from rl_attn.errors import TrainingError
from rl_attn.rl.batch import Batch
from rl_attn.rl.cuda_graphs import Captured, mapped
from rl_attn.rl.distributed import Ranks
from rl_attn.rl.entries import Entry, entry, values_of
from rl_attn.rl.methods import Method
from rl_attn.rl.ppo_loss import explained_variance, ppo_loss
from rl_attn.rl.settings import PPOSettings
from rl_attn.run.optimizers import eager


class Differentiated(NamedTuple):
    """What a mini-batch brings before the optimizer's step."""

    logged: dict[str, Entry]
    norm: Tensor  # (), of the gradients before they were clipped
    gradients: list[Tensor | None]  # of the parameters, clipped


class Learner:
    """The agent, its optimizer and the method."""

    def __init__(
        self,
        settings: PPOSettings,
        agent: Network,
        module: nn.Module | None,
        method: Method,
        random: torch.Generator,
        ranks: Ranks,
        autocast: Callable[[], AbstractContextManager],
        graphs: bool = False,
    ):
        """
        Args:
            module: has the method's own parameters.
            graphs: `differentiate` is captured in a CUDA graph, see `cuda_graphs.py`.
        """
        self.settings, self.agent, self.method = settings, agent, method
        self.random, self.ranks, self.autocast = random, ranks, autocast
        own = list(module.parameters()) if module is not None else []
        self.parameters = [*agent.parameters(), *own]
        self.optimizer = eager(torch.optim.Adam)(
            self.parameters, lr=settings.learning_rate, eps=1e-5, fused=True
        )
        self.captured = Captured(self.differentiate, [method.context.random]) if graphs else None

    def learn(self, storage: RolloutStorage, update: int) -> dict[str, float]:
        """The updates of one rollout; returns the means of what is logged.

        Args:
            update: which one of the run's, from 0.
        """
        settings, ranks = self.settings, self.ranks
        self._anneal(update)
        advantages, returns = self.advantages(storage)
        actions, log_probs, values, advantages, returns = (
            ranks.all_lanes(tensor).flatten(0, 1)
            for tensor in (storage.actions, storage.log_probs, storage.values, advantages, returns)
        )  # (T*N, ...) each, of all ranks
        rows = storage.all_rows()
        targets, taught = self.method.rollout(storage)
        steps: list[dict[str, Entry]] = []
        for _ in range(settings.update_epochs):
            for mb_inds, memory in self._minibatches(storage):
                mine, local, share = ranks.own(mb_inds, settings.num_envs)
                stacks = storage.stacks(rows[local])
                batch = Batch(
                    stacks=stacks,
                    masks=storage.mask_stacks(rows[local]),
                    actions=actions[mine],
                    log_probs=log_probs[mine],
                    values=values[mine],
                    advantages=advantages[mine],
                    returns=returns[mine],
                    all_advantages=advantages[mb_inds],
                    shown=stacks,
                    targets=None if targets is None else targets[local],
                    memory=memory,
                )
                steps.append(self._step(batch, share))
            kl = steps[-1]["losses/approx_kl"].value
            if settings.target_kl is not None and kl > settings.target_kl:
                break
        logged = self._means(steps, update) | taught
        logged["losses/explained_variance"] = explained_variance(values, returns)
        logged["charts/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        return logged

    def _minibatches(self, storage: RolloutStorage) -> Iterator[tuple[Tensor, Memory | None]]:
        """Indices t * N + n of a pass, drawn again: samples, or for a recurrent agent whole
        environments, step by step, with what is remembered when the rollout begins."""
        settings, parts = self.settings, self.settings.num_minibatches
        draw = {"generator": self.random, "device": storage.device}
        if not storage.memory_size:
            for mb_inds in torch.randperm(settings.batch_size, **draw).view(parts, -1):
                yield mb_inds, None
            return
        steps = torch.arange(settings.num_steps, device=storage.device)[:, None]
        for lanes in torch.randperm(settings.num_envs, **draw).view(parts, -1):
            yield (steps * settings.num_envs + lanes).flatten(), storage.sequences(lanes)

    def _step(self, batch: Batch, share: float) -> dict[str, Entry]:
        """One mini-batch, or this rank's share of it: gradients and Adam."""
        if self.captured is None:
            logged, norm, _ = self.differentiate(batch, share)
        else:
            outputs = self.captured(batch)
            logged, norm = mapped((outputs.logged, outputs.norm), torch.clone)
            for parameter, gradient in zip(self.parameters, outputs.gradients, strict=True):
                parameter.grad = gradient
        self.optimizer.step()
        return self.ranks.merged(logged, share) | {"losses/grad_norm": Entry(norm)}

    def differentiate(self, batch: Batch, share: float = 1.0) -> Differentiated:
        """Forward, losses and clipped gradients, which are also the parameters' `grad`."""
        with self.autocast():
            shown = self.method.shown(batch)
            output = self.agent(shown, shift=self.method.attends, memory=batch.memory)
            output = self.method.judged(output, batch.stacks, batch.masks)
        batch = replace(batch, shown=shown)
        loss, logged = ppo_loss(output, batch, self.settings)
        extra, more = self.method.loss(self.agent, output, batch)
        losses = [loss] if extra is None else [loss, extra]
        if extra is not None and not self.settings.separate_clipping:
            losses = [loss + extra]
        norms = self.gradients([share * part for part in losses])
        entries = {name: entry(value) for name, value in {**logged, **more}.items()}
        gradients = [parameter.grad for parameter in self.parameters]
        return Differentiated(mapped(entries, torch.detach), torch.stack(norms).norm(), gradients)

    def gradients(self, losses: list[Tensor]) -> list[Tensor]:
        """Sum of the losses' gradients, each clipped by itself; returns their norms before."""
        parameters, norms = self.parameters, []
        kept: list[Tensor | None] = [None] * len(parameters)
        for loss in losses:
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward(retain_graph=loss is not losses[-1])
            self.ranks.sum_gradients(parameters)
            norms.append(nn.utils.clip_grad_norm_(parameters, self.settings.max_grad_norm))
            for i, (parameter, before) in enumerate(zip(parameters, kept, strict=True)):
                if before is not None:
                    parameter.grad = before if parameter.grad is None else parameter.grad + before
                kept[i] = parameter.grad
        return norms

    @torch.no_grad()
    def advantages(self, storage: RolloutStorage) -> tuple[Tensor, Tensor]:
        """(T, N) advantages and returns; the value of a cut-off episode's last frame is added."""
        settings = self.settings
        rewards = torch.from_numpy(storage.rewards).to(storage.device, copy=True)
        dones = torch.from_numpy(storage.dones).to(storage.device)
        with self.autocast():
            last = settings.num_steps
            stacks, masks = storage.observation(last), storage.observed_masks(last)
            memory = storage.recall(last, slice(None))
            next_value = self.method.act(self.agent, stacks, masks, memory=memory).value
            if storage.final_frames:
                steps, lanes = storage.final_places()
                stacks, masks = storage.final_stacks(), storage.final_masks()
                memory = storage.final_memory()
                final = self.method.act(self.agent, stacks, masks, memory=memory).value
                rewards[steps, lanes] += settings.gamma * final
        advantages = gae(
            rewards, storage.values, dones, next_value, settings.gamma, settings.gae_lambda
        )
        return advantages, advantages + storage.values

    def _anneal(self, update: int) -> None:
        if self.settings.anneal_lr:
            frac = 1.0 - update / self.settings.num_updates
            self.optimizer.param_groups[0]["lr"] = self.settings.learning_rate * frac

    def _means(self, steps: list[dict[str, Entry]], update: int) -> dict[str, float]:
        """Means over the mini-batches, after a look for the first value that is not finite."""
        names, table = values_of(steps)  # the update's one wait for the device
        if not table.isfinite().all():
            row, column = table.isfinite().logical_not().nonzero()[0].tolist()
            raise TrainingError(
                f"{names[column]} became {table[row, column]:g} at step "
                f"{(update + 1) * self.settings.batch_size}, mini-batch {row + 1} of {len(steps)}: "
                "the last checkpoint is from before; try a lower --learning-rate, a lower weight "
                "of the method's loss (--camal), or --precision fp32"
            )
        return {
            name: (table[:, i].sum() if steps[0][name].summed else table[:, i].mean()).item()
            for i, name in enumerate(names)
        }
