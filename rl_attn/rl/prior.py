"""Prior for agents: a teacher's masks on some frames of every rollout, within a share of the time.

CAMAL's baseline Prior takes its regions from CLIP, and leaves agents out because every new frame
needs a region of its own (Hundal et al. 2026, 5.2). Here each rollout has as many of its frames
labelled, drawn at random, in large batches, as the budget has time for; the CAMAL loss skips the
others. How long a frame takes is measured on the way, so which frames are labelled differs from
run to run and after a resume; `teacher_every` labels a fixed choice instead.

Letters: T steps, N lanes, H x W pixels.
"""

import time

import torch
from torch import Tensor

from rl_attn.agents import RolloutStorage
from rl_attn.envs.doom.scenarios import CATEGORIES, CATEGORY_PREFIX, resolve
from rl_attn.errors import UserError
from rl_attn.rl.settings import Args
from rl_attn.teachers import Prompts, Teacher, load_clip
from rl_attn.teachers.doom_prompts import DOOM, doom_words

_FIRST = 8  # frames of the first rollout, whose time is not known yet


class Prior:
    """Labels frames of a rollout; keeps account of the time."""

    def __init__(self, args: Args, device: torch.device):
        """UserError if the teacher cannot be had."""
        self.args = args
        clip = load_clip(args.teacher_model, args.teacher_weights, device)
        self.teacher = Teacher(clip, prompts_of(args), args.teacher, batch_size=64)
        self.random = torch.Generator().manual_seed(args.seed)
        self.spent = 0.0  # seconds of labelling
        self.labelled = 0  # frames
        self.started = time.perf_counter()

    def masks(self, storage: RolloutStorage) -> tuple[Tensor, dict[str, float]]:
        """Masks of the rollout's frames, (T, N, H, W) uint8 in {0, 1}, and what to log.

        Frames that were not drawn, and those on which the teacher is not sure to see a target,
        have an empty mask.
        """
        steps, lanes = storage.actions.shape
        chosen = self._draw(steps * lanes)
        masks = torch.zeros_like(storage.masks[:steps])
        started = time.perf_counter()
        sure = self._label(storage, chosen, masks) if len(chosen) else torch.zeros(0)
        if masks.is_cuda:
            torch.cuda.synchronize(masks.device)
        now = time.perf_counter()
        self.spent += now - started
        self.labelled += len(chosen)
        return masks, {
            "teacher/labelled": len(chosen) / (steps * lanes),
            "teacher/sure": sure.float().mean().item() if len(chosen) else float("nan"),
            "teacher/share_of_time": self.spent / (now - self.started),
            "teacher/seconds_per_frame": self.spent / max(self.labelled, 1),
        }

    def _draw(self, frames: int) -> Tensor:
        """Which frames to label now, (n,) int64: every k-th, or what the budget allows."""
        if self.args.teacher_every:
            return torch.arange(0, frames, self.args.teacher_every)
        if not self.labelled:
            number = _FIRST
        else:
            # Of the time up to the end of this labelling, t + n s, the budget's share is for
            # labelling: spent + n s <= budget (t + n s).
            budget, each = self.args.teacher_budget, self.spent / self.labelled
            passed = time.perf_counter() - self.started
            number = int((budget * passed - self.spent) / (each * (1 - budget)))
        number = min(max(number, 0), frames)
        return torch.randperm(frames, generator=self.random)[:number]

    def _label(self, storage: RolloutStorage, chosen: Tensor, masks: Tensor) -> Tensor:
        """Write the masks of the chosen frames; returns on which the teacher is sure, (n,)."""
        steps, lanes = storage.actions.shape
        first = storage.stack - 1
        frames = storage.frames[first : first + steps].flatten(0, 1)  # (T*N, H, W, C)
        rows = chosen.to(frames.device)
        taught = self.teacher(frames[rows].permute(0, 3, 1, 2))
        sure = taught.confidence > self.args.teacher_confidence
        on = (taught.masks > self.args.teacher_threshold) & sure[:, None, None]
        masks.view(steps * lanes, *masks.shape[2:])[rows] = on.to(masks)
        return sure


def prompts_of(args: Args) -> Prompts:
    """The user's words for the targets, or the scenario's targets in words."""
    words = args.teacher_words or target_words(args)
    if args.teacher_model == "doom":
        return Prompts(words, DOOM.background, DOOM.templates)
    return Prompts(words)


def target_words(args: Args) -> tuple[str, ...]:
    """("category:Monster",) on DefendCenter -> ("demon", "marine")."""
    scenario = resolve(args.env, args.targets or None)
    names = []
    for target in scenario.targets:
        category = target.removeprefix(CATEGORY_PREFIX)
        same = [name for name in scenario.shown if CATEGORIES[name] == category]
        names += same if category != target else [target]
    words = doom_words(dict.fromkeys(names))
    if not words:
        raise UserError(f"{args.env} shows none of its targets: give --teacher-words")
    return words
