"""What trained agents attend to, on the same frames: frame | mask | attention of each method.

The one part of a report that needs the networks and the games, so it is imported only for it. The
frames are those that the first method's agent meets; every method's agent is shown the same ones as
its own method shows them, a recurrent one as if an episode began there.
"""

import contextlib
from functools import partial

import numpy as np
import torch
from torch import Tensor

from rl_attn.attention import iou
from rl_attn.errors import UserError
from rl_attn.pictures import attended, enlarged, rgb_of, scale_of, tinted
from rl_attn.reports.gallery import Captioned, attention_grid
from rl_attn.reports.parts import Plate
from rl_attn.reports.study import Cell, Study
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.loading import load
from rl_attn.rl.play import Moment, Player, evaluation_seeds, shown_of
from rl_attn.run.checkpoint import latest_checkpoint

#: Frames are chosen among so many that show a target this large (share of the pixels), if there
#: are any; looking ends after so many steps of play.
_CANDIDATES, _SHARE, _STEPS = 64, 0.003, 600


class _Enough(Exception):
    """Ends play: there are frames enough."""


class TargetFrames:
    """A `look` for `play` that keeps stacks and masks with a target in sight, then ends play."""

    def __init__(self) -> None:
        self.kept: list[tuple[Tensor, Tensor]] = []  # (S*C, H, W) and (S, H, W), uint8
        self.steps = 0

    def __call__(self, moment: Moment) -> None:
        masks = moment.mask_stacks[0]
        if (masks[-1] > 0).float().mean() >= _SHARE:
            self.kept.append((moment.stacks[0].clone(), masks.clone()))
        self.steps += 1
        if len(self.kept) >= _CANDIDATES or self.steps >= _STEPS:
            raise _Enough

    def spread(self, count: int) -> tuple[Tensor, Tensor]:
        """Stacks (n, S*C, H, W) and masks (n, S, H, W) of at most `count`, evenly spread."""
        inner = np.linspace(0, len(self.kept) - 1, min(count, len(self.kept)) + 2)[1:-1]
        chosen = [self.kept[int(i)] for i in inner]
        return torch.stack([s for s, _ in chosen]), torch.stack([m for _, m in chosen])


def attention_plates(study: Study, frames: int) -> list[Plate]:
    """One figure of all tasks; a task without agents or visible targets is noted and left out."""
    rows = []
    for task in study.tasks:
        players = _players(study, task)
        if players:
            rows += _rows(study, task, players, frames)
    if not rows:
        return []
    first = "frames with a target that the first of these agents meets"
    return [
        Plate(
            name="attention",
            title="What each method attends to",
            caption=f"Frame, mask of the targets, and each method's attention on the same frame "
            f"({first}), with its IoU at 0.7. One run of each method, its last checkpoint.",
            alt=f"Frames of {', '.join(study.tasks)} with the mask and the attention of "
            f"{', '.join(study.methods)}",
            draw=partial(attention_grid, rows, ["frame", "mask", *study.methods], bar=True),
        )
    ]


def _players(study: Study, task: str) -> dict[str, Player]:
    """Method -> the agent of its first run that has a readable checkpoint."""

    def player(cell: Cell) -> Player | None:
        if latest_checkpoint(cell.path) is None:
            return None
        try:
            return load(cell.path, "latest", torch.device("cpu"))
        except UserError as error:
            study.problems.append(f"no attention of {cell.path.name}: {error}")
            return None

    found = {method: study.first(task, method, player) for method in study.methods}
    return {method: player for method, player in found.items() if player is not None}


def _frames_of(player: Player) -> tuple[int, tuple[int, ...]]:
    """How many frames it sees, and their shape (H, W, C)."""
    return player.settings.frame_stack, tuple(player.environment.frame_shape)


def _rows(
    study: Study, task: str, players: dict[str, Player], frames: int
) -> list[tuple[str, list[Captioned]]]:
    """Rows (task, pictures with captions) for `attention_grid`."""
    seen, first = TargetFrames(), next(iter(players.values()))
    with contextlib.suppress(_Enough):
        first.play(1, evaluation_seeds(4), look=seen)
    if not seen.kept:
        study.problems.append(f"no attention of {task}: no target came in sight")
        return []
    stacks, mask_stacks = seen.spread(frames)
    masks = mask_stacks[:, -1]  # of the newest frames
    maps = {}
    for method, player in players.items():
        if _frames_of(player) != _frames_of(first):
            study.problems.append(f"no attention of {method}: its frames are of another shape")
            continue
        settings = player.settings
        attention, _ = attention_maps(
            player.agent,
            shown_of(player.method, stacks, mask_stacks),
            settings.attention_target,
            attention=settings.attention,
            memory=player.agent.blank(len(stacks)),
        )
        maps[method] = attention
    size = (masks.shape[1], masks.shape[2])
    channels = first.environment.frame_shape[2]
    rows = []
    for i, mask in enumerate(masks):
        frame = stacks[i, -channels:].permute(1, 2, 0).numpy()  # (H, W, C), the newest
        scale = scale_of(frame.shape[1], 320)
        rgb, on = enlarged(rgb_of(frame), scale), enlarged(mask.numpy() > 0, scale)
        pictures = [(rgb, ""), (tinted(rgb, on), "")]
        for method in study.methods:
            if method in maps:
                one = maps[method][i : i + 1]
                value = iou(one.upsample(size), masks[i : i + 1]).item()
                drawn = one.faded(size)[0].numpy()
                pictures.append((attended(rgb, drawn, on), f"IoU {value:.2f}"))
            else:
                pictures.append((np.full_like(rgb, 128), "no agent"))
        rows.append((task, pictures))
    return rows
