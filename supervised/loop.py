"""The training loop: steps, epochs, the best network so far, and a state that resumes exactly.

Chance is a function of (seed, epoch) where data are concerned (`Draws`) and torch's global
generator where layers are (dropout, stochastic depth), whose state is kept.
"""

from collections.abc import Sequence
from math import inf, isfinite
from statistics import fmean as mean
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from rl_attn.errors import TrainingError
from rl_attn.run.checkpoint import check_moments
from rl_attn.run.optimizers import eager
from rl_attn.supervised.batches import Draws
from rl_attn.supervised.evaluation import accuracies, at_rest, evaluate
from rl_attn.supervised.methods import Method
from rl_attn.supervised.network import Network
from rl_attn.supervised.settings import SELECTABLE, TrainSettings, seeds_of
from rl_attn.supervised.setup import Data, inputs_of

#: Optimiser steps between looks for a loss that is not finite: each look waits for the device.
CHECK_EVERY = 50


class NetworkState(TypedDict):
    """What a network needs to be asked: all that is kept of a finished run, of its best network."""

    model: dict[str, Tensor]
    extra: dict[str, Tensor]
    inputs: NotRequired[dict[str, Any]]  # see `inputs.py`; older versions kept none
    best: NotRequired[dict[str, Any]]  # of a run that is not finished: `Trainer.best`
    global_step: int


def best_of(state: NetworkState) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The best network so far and what its method had with it, also of a run that goes on."""
    best = state.get("best") or {}
    return best.get("model", state["model"]), best.get("extra") or state["extra"]


class State(NetworkState):
    """What a checkpoint holds: `Trainer.state_dict`, and where the network looked before."""

    optimizer: dict[str, Any]
    epoch: int
    step: int
    restarted: int
    sums: dict[str, Tensor]
    seen: int
    random: Tensor
    before: Tensor


class Trainer:
    """The network, its optimiser, its data and its place in the run."""

    def __init__(
        self, args: TrainSettings, method: Method, network: Network, extra: nn.Module, data: Data
    ):
        self.args, self.method, self.network, self.extra = args, method, network, extra
        self.data, self.train, self.validation = data, data.train, data.validation
        self.epoch, self.step, self.restarted = 0, 0, 0  # step: of this epoch
        full, rest = divmod(len(self.train), args.batch_size)
        #: Of an epoch; a last batch of a single picture is left out, BatchNorm cannot take it.
        self.steps = full + (rest > 1) or 1
        self.end = args.epochs * self.steps
        self.sums: dict[str, Tensor] = {}
        self.seen = 0
        self.best: dict[str, Any] = {}
        self.optimizer = self.new_optimizer()
        #: By which training pictures are drawn, (N,) on the CPU; None: each once an epoch.
        self.odds: Tensor | None = None
        if args.sampling == "balanced":
            labels = self.train.split.labels.cpu()
            self.odds = 1 / labels.bincount()[labels].double()

    # ------------------------------------------------------------------ train

    @property
    def global_step(self) -> int:
        return self.epoch * self.steps + self.step

    def new_optimizer(self) -> torch.optim.Optimizer:
        args = self.args
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
        options = {"lr": args.learning_rate, "weight_decay": args.weight_decay, "fused": True}
        parameters = [*self.network.model.parameters(), *self.extra.parameters()]
        if args.optimizer == "sgd":
            options["momentum"] = args.momentum
        return eager(kinds[args.optimizer])(parameters, **options)

    def run_epoch(self, stop: Any = False) -> bool:
        """The rest of this epoch; False if it was asked to stop before its end."""
        if self.step == 0:
            self.sums, self.seen = {}, 0
            if self.method.restarts(self.epoch):
                self.optimizer, self.restarted = self.new_optimizer(), self.epoch
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate()
        number, odds = len(self.train), self.odds
        draws = [Draws.of(number, seed, self.epoch, odds) for seed in seeds_of(self.args)]
        self.network.model.train()
        self.extra.train()
        self.method.begin(self.network, self.epoch)
        while self.step < self.steps:
            self.update(draws)
            self.step += 1
            if self.step % CHECK_EVERY == 0:
                self.look_for_nan()
            every = self.args.select_every
            if every and self.global_step % every == 0:
                self.keep_best(accuracies(self.network, self.data.splits[self.args.select_on]))
            if stop and self.step < self.steps:
                return False
        return True

    def learning_rate(self) -> float:
        """Of this epoch, counted from where the schedule began last."""
        args, since = self.args, self.epoch - self.restarted
        if args.schedule == "step":
            return args.learning_rate * args.step_factor ** (since // args.step_epochs)
        if args.schedule == "cosine":
            share = torch.tensor(since / (args.epochs - self.restarted) * torch.pi)
            return args.learning_rate * 0.5 * (1 + share.cos().item())
        return args.learning_rate

    def update(self, draws: list[Draws]) -> None:
        """The next step: B pictures for each of S networks, those of the first one first."""
        rows = slice(self.step * self.args.batch_size, (self.step + 1) * self.args.batch_size)
        index = torch.cat([drawn.order[rows] for drawn in draws])  # (S * B,)
        crops = flips = None
        if self.args.crop == "random":
            crops = torch.cat([drawn.crops[rows] for drawn in draws])
        if self.args.flip:
            flips = torch.cat([drawn.flips[rows] for drawn in draws])
        batch = self.train.take(index, crops, flips)
        self.optimizer.zero_grad(set_to_none=True)
        ahead = self.method.ahead(self.network, batch, self.epoch)
        if ahead is not None:
            self.step_on(ahead[0])
        losses, logs = self.method.loss(self.network, batch, self.epoch)
        self.step_on(losses)
        if ahead is not None:
            losses, logs = losses + ahead[0], {**ahead[1], **logs}
        for name, values in {"losses/total": losses, **logs}.items():
            total = values.detach().view(self.network.copies, -1).sum(1)
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.seen += len(index) // self.network.copies

    def step_on(self, losses: Tensor) -> None:
        """Add the gradient of the losses' mean to what there is, and take a step."""
        losses.view(self.network.copies, -1).mean(1).sum().backward()
        self.optimizer.step()

    def look_for_nan(self) -> None:
        for name, total in self.sums.items():
            self.refuse_nan(name, total.sum().item())

    def refuse_nan(self, name: str, value: float) -> None:
        if not isfinite(value):
            raise TrainingError(
                f"{name} became {value:g} in epoch {self.epoch + 1}, at step "
                f"{self.global_step:,}: try a lower --learning-rate or --weight, or "
                "--precision fp32"
            )

    def finish_epoch(self) -> dict[str, float]:
        """What is logged of the epoch; a network is kept if it is the best of its run so far."""
        self.look_for_nan()
        logged = {name: total.mean().item() / self.seen for name, total in self.sums.items()}
        logged["charts/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        logged["charts/epochs"] = self.epoch + 1
        checked = evaluate(self.network, self.data.splits[self.args.select_on])
        for values in checked:  # the last step may have been the one too many
            telling = self.validation.task.finite
            self.refuse_nan(f"validation/{telling}", values[telling])
        validation = [a | b for a, b in zip(checked, self.method_means(), strict=True)]
        for name in validation[0]:
            logged[f"validation/{name}"] = mean(values[name] for values in validation)
        self.keep_best([self.score(values) for values in validation])
        self.epoch, self.step = self.epoch + 1, 0
        return logged

    def score(self, validation: dict[str, float]) -> float | None:
        if self.args.select == "last":
            return float(self.epoch)
        if self.args.select != "method":
            return SELECTABLE[self.args.select] * validation[self.args.select]
        return self.method.validation_score(self.epoch, validation)

    def keep_best(self, scores: Sequence[float | None]) -> None:
        """Remember the networks whose score is the best so far; of equal ones the later."""
        nothing = {"scores": [-inf] * len(scores), "epochs": [self.epoch] * len(scores)}
        best, weights = self.best or nothing, self.network.model.state_dict()
        kept, extra = best.get("model", weights), best.get("extra", {})
        better = [s is not None and s >= old for s, old in zip(scores, best["scores"], strict=True)]
        if not any(better):
            return
        if all(better):
            kept = {name: value.clone() for name, value in weights.items()}
            extra = {name: value.clone() for name, value in self.extra.state_dict().items()}
        else:  # of several networks, whose parameters are stacked
            rows = torch.tensor(better)
            for name, value in kept.items():
                value[rows] = weights[name][rows]
        for i in [i for i, yes in enumerate(better) if yes]:
            best["scores"][i], best["epochs"][i] = scores[i], self.epoch
        self.best = {**best, "model": kept, "extra": extra}

    def take_best(self) -> None:
        """Put the best network, and what the method had with it, in the place of the last."""
        if self.best:
            self.network.model.load_state_dict(self.best["model"])
            if self.best["extra"]:
                self.extra.load_state_dict(self.best["extra"])

    def method_means(self) -> list[dict[str, float]]:
        """The method's own values on the validation split, of each network."""
        copies = self.network.copies
        if not self.method.validated:
            return [{} for _ in range(copies)]
        sums: dict[str, Tensor] = {}
        with at_rest(self.network):
            for batch in self.validation.in_order(256, copies):
                with torch.enable_grad():
                    _, logs = self.method.loss(self.network, batch, self.epoch)
                for name, values in logs.items():
                    total = values.detach().view(copies, -1).sum(1)
                    sums[name] = sums[name] + total if name in sums else total
        number = len(self.validation)
        return [{k: v[copy].item() / number for k, v in sums.items()} for copy in range(copies)]

    # ------------------------------------------------------------------ keep

    def network_state(self) -> NetworkState:
        """The network as it is now and what it takes: a quarter of `state_dict`, or less."""
        return {
            "model": self.network.model.state_dict(),
            "extra": self.extra.state_dict(),
            "inputs": inputs_of(self.args, self.data).as_dict(),
            "global_step": self.global_step,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            **self.network_state(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "restarted": self.restarted,
            "sums": self.sums,
            "seen": self.seen,
            "best": self.best,
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.model.load_state_dict(state["model"])
        self.extra.load_state_dict(state["extra"])
        self.optimizer.load_state_dict(state["optimizer"])
        check_moments(self.optimizer)
        self.lay_out_moments()
        self.epoch, self.step = state["epoch"], state["step"]
        self.restarted, self.best = state["restarted"], state["best"]
        self.sums, self.seen = state["sums"], state["seen"]
        torch.set_rng_state(state["random"].cpu())

    def lay_out_moments(self) -> None:
        """Bring what the optimiser remembers into the order of memory of its parameters.

        A checkpoint of another device may have another one, and fused steps go through memory.
        """
        for parameter, state in self.optimizer.state.items():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
