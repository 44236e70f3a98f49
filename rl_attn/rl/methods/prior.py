"""Prior for agents: a teacher's masks on some frames of every rollout, within a share of the time.

CAMAL's baseline Prior takes its regions from CLIP, and leaves agents out because every new frame
needs a region of its own (Hundal et al. 2026, 5.2). Here each rollout has as many of its frames
labelled, drawn at random, in large batches, as the budget has time for; the CAMAL loss skips the
others. How long a frame takes is measured on the way, so which frames are labelled differs from
run to run and after a resume; `--teacher.every` labels a fixed choice instead.

Letters: T steps, N environments, H x W pixels.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from rl_attn.errors import UserError
from rl_attn.rl.methods import METHODS
from rl_attn.rl.methods.camal import Camal
from rl_attn.run.settings import NotNegative, Share
from rl_attn.run.teacher import TeacherSettings

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.agents import RolloutStorage
    from rl_attn.rl.settings import AgentSettings
    from rl_attn.teachers import Prompts

_FIRST = 8  # frames of the first rollout, whose time is not known yet


@dataclass
class RolloutTeacher(TeacherSettings):
    """A teacher of frames that are played just now, and how many of them it labels."""

    budget: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    """largest share of the training time that labelling may take"""
    every: NotNegative[int] = 0
    """label every k-th frame whatever it costs, which repeats exactly; 0: what the budget allows"""
    threshold: Share = 0.5
    """a mask is where the teacher's map is above this"""
    confidence: Share = 0.5
    """frames whose share of the softmax is lower have an empty mask"""


@METHODS.register("prior")
@dataclass
class Prior(Camal):
    """Train a PPO agent with the CAMAL loss on masks that a vision-language model makes."""

    teacher: RolloutTeacher = field(default_factory=RolloutTeacher)

    def check(self, settings: AgentSettings) -> None:
        if self.empty_mask == "suppress":
            raise UserError(
                "--empty-mask suppress would take the frames that a teacher has not labelled for "
                "empty ones: leave it at skip with --method prior"
            )

    def prepare(self) -> None:
        """UserError if the teacher is not available."""
        import torch

        from rl_attn.teachers import Teacher, load_clip

        settings, ranks = self.context.settings, self.context.ranks
        if ranks.size > 1:  # each would label another share of its frames, and weigh the loss by it
            raise UserError(f"--method prior works in one process, not in {ranks.size} ranks")
        clip = load_clip(self.teacher.model, self.teacher.weights, self.context.device)
        self.ask = Teacher(clip, self.prompts(settings), self.teacher.method, batch_size=64)
        self.random = torch.Generator().manual_seed(settings.seed)
        self.spent = 0.0  # seconds of labelling
        self.labelled = 0  # frames
        self.share = 1.0  # of the rollout's frames
        self.started = time.perf_counter()

    def coefficient(self) -> float:
        """The loss is a mean over the frames that have been labelled."""
        return self.camal / (self.share or 1.0)

    def masks(self, storage: RolloutStorage) -> tuple[Tensor, dict[str, float]]:
        """Masks (T, N, H, W) uint8 in {0, 1} of the rollout's frames, and what to log.

        Frames that were not drawn, and those on which the teacher is not sure to see a target,
        have an empty mask.
        """
        import torch

        steps, lanes = storage.num_steps, storage.num_lanes
        chosen = self._draw(steps * lanes)
        masks = torch.zeros_like(storage.masks[:steps])
        started = time.perf_counter()
        sure = self._label(storage, chosen, masks) if len(chosen) else torch.zeros(0)
        if masks.is_cuda:
            torch.cuda.synchronize(masks.device)
        now = time.perf_counter()
        self.spent += now - started
        self.labelled += len(chosen)
        self.share = len(chosen) / (steps * lanes)
        return masks, {
            "teacher/labelled": self.share,
            "teacher/sure": sure.float().mean().item() if len(chosen) else float("nan"),
            "teacher/share_of_time": self.spent / (now - self.started),
            "teacher/seconds_per_frame": self.spent / max(self.labelled, 1),
        }

    def _draw(self, frames: int) -> Tensor:
        """Which frames to label now, (n,) int64: every k-th, or what the budget allows."""
        import torch

        if self.teacher.every:
            return torch.arange(0, frames, self.teacher.every)
        if not self.labelled:
            number = _FIRST
        else:
            # Of the time up to the end of this labelling, t + n s, the budget's share is for
            # labelling: spent + n s <= budget (t + n s).
            budget, each = self.teacher.budget, self.spent / self.labelled
            passed = time.perf_counter() - self.started
            number = int((budget * passed - self.spent) / (each * (1 - budget)))
        number = min(max(number, 0), frames)
        return torch.randperm(frames, generator=self.random)[:number]

    def _label(self, storage: RolloutStorage, chosen: Tensor, masks: Tensor) -> Tensor:
        """Write the masks of the chosen frames; returns on which the teacher is sure, (n,)."""
        steps, lanes = storage.num_steps, storage.num_lanes
        first = storage.stack - 1
        frames = storage.frames[first : first + steps].flatten(0, 1)  # (T*N, H, W, C)
        rows = chosen.to(frames.device)
        taught = self.ask(frames[rows].permute(0, 3, 1, 2))
        sure = taught.confidence > self.teacher.confidence
        on = (taught.masks > self.teacher.threshold) & sure[:, None, None]
        masks.view(steps * lanes, *masks.shape[2:])[rows] = on.to(masks)
        return sure

    def state_dict(self) -> dict[str, Any]:
        """The account of the time, and the generator that draws the frames."""
        passed = time.perf_counter() - self.started
        account = {"spent": self.spent, "labelled": self.labelled, "passed": passed}
        return account | {"random": self.random.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.spent, self.labelled = state["spent"], state["labelled"]
        self.started = time.perf_counter() - state["passed"]
        self.random.set_state(state["random"].cpu())

    def prompts(self, settings: AgentSettings) -> Prompts:
        """The user's words for the targets, or the scenario's targets in words."""
        from rl_attn.teachers import Prompts
        from rl_attn.teachers.doom_prompts import DOOM

        words = self.teacher.words or target_words(settings)
        if self.teacher.model == "doom":
            return Prompts(words, DOOM.background, DOOM.templates)
        return Prompts(words)


def target_words(settings: AgentSettings) -> tuple[str, ...]:
    """("category:Monster",) on DefendCenter -> ("demon", "marine")."""
    from rl_attn.envs.registry import find
    from rl_attn.teachers.doom_prompts import doom_words

    words = doom_words(find(settings).objects)
    if not words:
        raise UserError(f"{settings.env} shows none of its targets: give --teacher.words")
    return words
