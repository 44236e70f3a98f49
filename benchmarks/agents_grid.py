"""Agents of several kinds that train in the same games, one after the other; see `gpu.py`.

A chunk is a `Kind`: its trainer is built, warmed up with a rollout and its update, and measured
over as many more as fit into the time. Games start once for all of them, and are never the reason
for a difference: the kinds of one grid have the same lanes, frames and steps.
"""

import gc
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from unittest.mock import patch

import torch
from workload import Games

from rl_attn.envs.registry import find
from rl_attn.errors import UserError
from rl_attn.rl import learn, settings
from rl_attn.rl.trainer import Trainer
from rl_attn.run.device import keep_freed_memory, pick_device, pick_precision


@dataclass(frozen=True)
class Kind:
    """An agent, and how its updates are computed."""

    network: str = "nature"
    camal: bool = False
    mode: Literal["eager", "compiled", "graphs"] = "eager"
    parts: bool = False  # where the time of an update goes, in place of its speed

    @property
    def name(self) -> str:
        return f"{self.network}, {'CAMAL' if self.camal else 'Vanilla'}, {self.mode}"


class Grid:
    """`run(kind)` is a dict of what was measured; what does not work says so in `failed`."""

    def __init__(self, args: Games, seconds: float, **flags: Any) -> None:
        """seconds: the least that a kind is measured. flags: of all trainers."""
        torch.set_num_threads(args.threads)
        keep_freed_memory()
        self.args, self.seconds, self.flags = args, seconds, flags
        self.device = pick_device(args.device)
        self.precision = pick_precision(args.precision, self.device)
        first = self._settings(Kind())
        groups = 2 if self.device.type == "cuda" and args.num_envs % 2 == 0 else 1  # as Trainer has
        self.envs = find(first).start(args.num_envs, seed=first.seed, num_groups=groups)
        self.note = f"{args.num_envs} games of {args.env}, {self.device} in {self.precision}"

    def _settings(self, kind: Kind) -> settings.AgentSettings:
        return settings.with_method("camal")(
            **self.args.flags,
            total_timesteps=10**9,
            network=kind.network,
            camal=float(kind.camal),
            compile=kind.mode == "compiled",
            cuda_graphs=kind.mode == "graphs",
            **self.flags,
        )

    def run(self, kind: Kind) -> dict[str, Any]:
        self._forget()
        began = time.perf_counter()
        try:
            trainer = Trainer(self._settings(kind), self.device, self.precision, envs=self.envs)
            trainer.start()
            self._turn(trainer)
            warm = time.perf_counter() - began
            found = self._parts(trainer) if kind.parts else self._speed(trainer)
        except (RuntimeError, UserError) as error:  # out of memory, a step that is not captured
            return {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
        return found | {"warm_up_seconds": warm, "peak_gib": self._peak_gib()}

    def _speed(self, trainer: Trainer) -> dict[str, float]:
        turns = [self._turn(trainer)]
        while sum(map(sum, turns)) < self.seconds:
            turns.append(self._turn(trainer))
        rollout, update = (sum(part) / len(turns) for part in zip(*turns, strict=True))
        return {
            "steps_per_second": trainer.args.batch_size / (rollout + update),
            "rollout_seconds": rollout,
            "update_seconds": update,
        }

    def _turn(self, trainer: Trainer) -> tuple[float, float]:
        """Seconds of a rollout and of its update."""
        times = [time.perf_counter()]
        for work in (trainer.rollout, trainer.update):
            work()
            self._wait()
            times.append(time.perf_counter())
        trainer.storage.roll()
        return times[1] - times[0], times[2] - times[1]

    def _parts(self, trainer: Trainer) -> dict[str, Any]:
        """Milliseconds of each part of one update, the device being waited for after each."""
        learner, storage = trainer.learner, trainer.storage
        parts = Parts(self._wait)
        trainer.rollout()
        with parts.timed(
            (learner, "advantages", "values of last frames, advantages"),
            (trainer.method, "rollout", "masks as weights of cells"),
            (storage, "stacks", "frames gathered"),
            (storage, "mask_stacks", "masks gathered"),
            (trainer.agent, "forward", "forward"),
            (learn, "ppo_loss", "PPO's loss"),
            (trainer.method, "loss", "map and its loss"),
            (learner, "gradients", "backward and clipping"),
            (learner.optimizer, "step", "Adam"),
            (learner, "learn", "the rest"),
        ):
            trainer.update()
        return {"parts": {label: 1e3 * seconds for label, seconds in parts.seconds.items()}}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _forget(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _peak_gib(self) -> float | None:
        on_gpu = self.device.type == "cuda"
        return torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None

    def close(self) -> None:
        self.envs.close()


class Parts:
    """Seconds by label, of functions that may call each other: each has its own time only."""

    def __init__(self, wait: Any) -> None:
        self.wait = wait  # for the device
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]  # of what the running ones have called

    @contextmanager
    def timed(self, *functions: tuple[Any, str, str]) -> Iterator[None]:
        """Within it, calls of owner.name are counted under a label."""
        with ExitStack() as stack:
            for owner, name, label in functions:
                timed = self._timed(getattr(owner, name), label)
                stack.enter_context(patch.object(owner, name, timed))
            yield

    def _timed(self, function: Any, label: str) -> Any:
        def timed(*arguments: Any, **options: Any) -> Any:
            self.wait()
            began = time.perf_counter()
            self._inner.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                self.wait()
                elapsed = time.perf_counter() - began
                self.seconds[label] += elapsed - self._inner.pop()
                self._inner[-1] += elapsed

        return timed
