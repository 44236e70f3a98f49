"""Privileged teacher: an agent that saw more in training teaches one that sees frames.

    rl-attn ppo --method masked-input --run-dir teacher
    rl-attn ppo --method privileged-teacher --teacher-run teacher

    L = L_PPO + imitation * mean KL(teacher(.|what it is shown of s) || pi(.|s))

on the states that the student itself comes to. The teacher is shown what its own method shows it,
with the mask; the student needs none.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rl_attn.env_settings import EnvSettings
from rl_attn.errors import UserError
from rl_attn.rl.methods import METHODS, Method
from rl_attn.run.settings import NotNegative, PathText

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.agents import Network, Output, RolloutStorage
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log
    from rl_attn.rl.play import Player
    from rl_attn.rl.settings import AgentSettings

#: What may be another way in the teacher's run: it learned under looks of its own.
_FREE = ("looks", "env_processes")


@METHODS.register("privileged-teacher")
@dataclass
class PrivilegedTeacher(Method):
    """Train a PPO agent that a finished one teaches, such as one of --method masked-input."""

    teacher_run: PathText | None = None
    """folder of the teacher's run, in the same environment"""
    imitation: NotNegative[float] = 1.0
    """weight of the divergence from the teacher's policy"""

    def check(self, settings: AgentSettings) -> None:
        if self.teacher_run is None:
            raise UserError(
                f"--method {settings.method} needs --teacher-run FOLDER, a run of an agent that "
                "sees more, such as one of --method masked-input"
            )

    def check_training(self, settings: AgentSettings) -> None:
        from rl_attn.run.yaml import load_yaml

        assert self.teacher_run is not None  # see `check`
        config = Path(self.teacher_run) / "config.yaml"
        if not config.is_file():
            raise UserError(f"--teacher-run {self.teacher_run} is not a folder of a run")
        taught = load_yaml(config)
        if taught.get("recurrent", "none") != "none":
            raise UserError(
                f"--teacher-run {self.teacher_run} is a recurrent agent, which cannot teach: take "
                "one that was trained without --recurrent"
            )
        for name in (*(field.name for field in fields(EnvSettings)), "frame_stack"):
            ours = getattr(settings, name)
            ours = list(ours) if isinstance(ours, tuple) else ours
            theirs = taught.get(name, ours)
            if name not in _FREE and theirs != ours:
                raise UserError(
                    f"--teacher-run {self.teacher_run} was trained with {name} {theirs}, this is "
                    f"{ours}: both must play the same"
                )
        from rl_attn.run.checkpoint import latest_checkpoint  # imports torch

        if latest_checkpoint(config.parent) is None:
            raise UserError(f"--teacher-run {self.teacher_run} has no checkpoint yet")

    @cached_property
    def teacher(self) -> Player:
        """Loaded for the first rollout: an agent that plays needs none. UserError if it cannot."""
        from rl_attn.rl.loading import load

        assert self.teacher_run is not None  # see `check`
        return load(Path(self.teacher_run), "latest", self.context.device)

    def rollout(self, storage: RolloutStorage) -> tuple[Tensor, dict[str, float]]:
        """The parameters of the teacher's policy for every sample, (T*N, P)."""
        import torch

        method, taught = self.teacher.method, []
        with torch.no_grad(), self.context.autocast():
            for some in storage.all_rows().split(256):
                stacks = storage.stacks(some)
                if method is not None:
                    stacks = method.observe(stacks, storage.mask_stacks(some), "evaluate")
                taught.append(self.teacher.agent(stacks).policy.parameters)
        return torch.cat(taught), {}

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor, Log]:
        loss = agent.head(batch.targets).kl(output.policy).mean()
        return self.imitation * loss, {"losses/imitation": loss}
