"""The training loop: steps, epochs, the best network so far, and a state that resumes exactly.

Chance is a function of (seed, epoch) where data are concerned (`Draws`) and torch's global
generator where layers are (dropout, stochastic depth), whose state is kept.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from supervised.batches import Draws
from supervised.evaluation import at_rest, evaluate
from supervised.methods import Method
from supervised.network import Network
from supervised.settings import Args
from supervised.setup import Data

#: Optimiser steps between looks for a loss that is not finite: each look waits for the device.
CHECK_EVERY = 50


class TrainingError(Exception):
    """Training cannot go on; the message says where it broke."""


class Trainer:
    """The network, its optimiser, its data and its place in the run."""

    def __init__(self, args: Args, method: Method, network: Network, extra: nn.Module, data: Data):
        self.args, self.method, self.network, self.extra = args, method, network, extra
        self.data, self.train, self.validation = data, data.train, data.validation
        self.epoch, self.step, self.restarted = 0, 0, 0  # step: of this epoch
        self.sums: dict[str, Tensor] = {}
        self.seen = 0
        self.best: dict[str, Any] = {}
        self.optimizer = self.new_optimizer()

    # ------------------------------------------------------------------ train

    @property
    def steps(self) -> int:
        """Of an epoch; a last batch of a single picture is left out, BatchNorm cannot take it."""
        full, rest = divmod(len(self.train), self.args.batch_size)
        return full + (rest > 1) or 1

    @property
    def global_step(self) -> int:
        return self.epoch * self.steps + self.step

    @property
    def end(self) -> int:
        return self.args.epochs * self.steps

    def parameters(self) -> list[nn.Parameter]:
        return [*self.network.model.parameters(), *self.extra.parameters()]

    def new_optimizer(self) -> torch.optim.Optimizer:
        args = self.args
        options = {"lr": args.learning_rate, "weight_decay": args.weight_decay, "fused": True}
        if args.optimizer == "sgd":
            return torch.optim.SGD(self.parameters(), momentum=args.momentum, **options)
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        return kinds[args.optimizer](self.parameters(), **options)

    def run_epoch(self, stop: Any = False) -> bool:
        """The rest of this epoch; False if it was asked to stop before its end."""
        if self.step == 0:
            self.begin_epoch()
        draws = Draws.of(len(self.train), self.args.seed, self.epoch)
        batches = draws.order.split(self.args.batch_size)[: self.steps]
        self.network.model.train()
        for index in batches[self.step :]:
            self.update(index, draws)
            self.step += 1
            if self.step % CHECK_EVERY == 0:
                self.look_for_nan()
            if stop and self.step < self.steps:
                return False
        return True

    def begin_epoch(self) -> None:
        self.sums, self.seen = {}, 0
        if self.method.restarts(self.epoch):
            self.optimizer, self.restarted = self.new_optimizer(), self.epoch
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()

    def learning_rate(self) -> float:
        """Of this epoch, counted from where the schedule began last."""
        args, since = self.args, self.epoch - self.restarted
        if args.schedule == "step":
            return args.learning_rate * args.step_factor ** (since // args.step_epochs)
        if args.schedule == "cosine":
            share = torch.tensor(since / (args.epochs - self.restarted) * torch.pi)
            return args.learning_rate * 0.5 * (1 + share.cos().item())
        return args.learning_rate

    def update(self, index: Tensor, draws: Draws) -> None:
        """One step on the pictures of `index` (B,)."""
        augment = draws if self.args.crop == "random" or self.args.flip else None
        batch = self.train.take(index, augment, self.args.flip)
        losses, logs = self.method.loss(self.network, batch, self.epoch)
        self.optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        self.optimizer.step()
        for name, values in {"losses/total": losses, **logs}.items():
            total = values.detach().sum()
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.seen += len(index)

    def look_for_nan(self) -> None:
        for name, total in self.sums.items():
            if not total.isfinite():
                raise TrainingError(
                    f"{name} became {total.item():g} in epoch {self.epoch + 1}, at step "
                    f"{self.global_step:,}: try a lower --learning-rate or --weight, or "
                    "--precision fp32"
                )

    def finish_epoch(self) -> dict[str, float]:
        """What is logged of the epoch; the network is kept if it is the best so far."""
        self.look_for_nan()
        logged = {name: total.item() / self.seen for name, total in self.sums.items()}
        logged["charts/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        checked = self.data.splits[self.args.select_on]
        validation = evaluate(self.network, checked) | self.method_means()
        logged |= {f"validation/{name}": value for name, value in validation.items()}
        score = self.score(validation)
        if score is not None and score >= self.best.get("score", -torch.inf):
            weights = {k: v.clone() for k, v in self.network.model.state_dict().items()}
            self.best = {"score": score, "epoch": self.epoch, "model": weights}
        self.epoch, self.step = self.epoch + 1, 0
        return logged

    def score(self, validation: dict[str, float]) -> float | None:
        if self.args.select == "last":
            return float(self.epoch)
        if self.args.select == "accuracy":
            return validation["accuracy"]
        return self.method.validation_score(self.epoch, validation)

    def method_means(self) -> dict[str, float]:
        """The method's own values on the validation split."""
        sums: dict[str, float] = defaultdict(float)
        with at_rest(self.network):
            for batch in self.validation.in_order(256):
                with torch.enable_grad():
                    _, logs = self.method.loss(self.network, batch, self.epoch)
                for name, values in logs.items():
                    sums[name] += values.detach().sum().item()
        return {name: total / len(self.validation) for name, total in sums.items()}

    # ------------------------------------------------------------------ keep

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "model": self.network.model.state_dict(),
            "extra": self.extra.state_dict(),
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
        self.epoch, self.step = state["epoch"], state["step"]
        self.restarted, self.best = state["restarted"], state["best"]
        self.sums, self.seen = state["sums"], state["seen"]
        torch.set_rng_state(state["random"].cpu())
