"""How good made masks are, against the true ones: CAMAL's pilot study (its Figure 8) in numbers.

A soft mask becomes a region at some threshold. `iou` is the mean over pictures at the one threshold
that is best on *other* pictures: the pictures are dealt into two folds, each is measured at the
threshold chosen on the other. Pictures whose true mask is empty have no IoU and are left out.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rl_attn.attention import energy_inside, iou_curve, pointing_game
from rl_attn.pictures import captioned, grid, side_by_side
from rl_attn.supervised.data import Split
from rl_attn.supervised.mask_folder import read

THRESHOLDS = torch.arange(1, 50) / 50
_CHUNK = 32  # pictures measured at a time, so that memory does not grow with the set
_SHOWN = 8  # pictures of each split on the contact sheet
_HEIGHT = 96  # of a picture there, at least


def evaluate(splits: dict[str, Split], folder: Path) -> dict[str, Any] | None:
    """The measures of all splits together, and the IoU at every threshold; None without truth."""
    curves, others = [], {"energy_inside": [], "pointing_game": []}
    for name, split in splits.items():
        if split.masks is None:
            continue
        made = read(folder, name, (len(split), *split.images.shape[2:]))
        for start in range(0, len(split), _CHUNK):
            rows = slice(start, start + _CHUNK)
            truth = split.masks[rows].float() / 255
            mask = torch.from_numpy(np.array(made[rows])).float() / 255
            seen = (truth > 0.5).any(2).any(1)
            curves.append(iou_curve(mask[seen], truth[seen], THRESHOLDS))
            others["energy_inside"].append(energy_inside(mask[seen], truth[seen]))
            others["pointing_game"].append(pointing_game(mask[seen], truth[seen]))
    if not curves or not sum(len(curve) for curve in curves):
        return None
    curve = torch.cat(curves)  # (N, T)
    measured, thresholds = held_out_iou(curve)
    values = {"iou": measured.mean().item(), "iou_at_0.7": curve[:, 34].mean().item()}
    values |= {name: torch.cat(parts).mean().item() for name, parts in others.items()}
    return {
        "summary": {name: {"mean": v, "low": v, "high": v} for name, v in values.items()},
        "pictures": len(curve),
        "thresholds_of_the_folds": thresholds,
        "iou_by_threshold": {
            f"{threshold:.2f}": round(value, 4)
            for threshold, value in zip(THRESHOLDS.tolist(), curve.mean(0).tolist(), strict=True)
        },
    }


def held_out_iou(curve: Tensor) -> tuple[Tensor, list[float]]:
    """Each picture's IoU at the threshold that is best on the other fold, (N,), and those two.

    curve: (N, T), the IoU of N pictures at THRESHOLDS.
    """
    measured, thresholds = torch.zeros(len(curve)), []
    fold = torch.arange(len(curve)) % 2 == 0
    for here in (fold, ~fold):
        others = curve[~here] if (~here).any() else curve[here]  # of a single picture: itself
        best = int(others.mean(0).argmax())
        measured[here] = curve[here, best]
        thresholds.append(round(THRESHOLDS[best].item(), 2))
    return measured, thresholds


def contact_sheet(splits: dict[str, Split], folder: Path) -> None:
    """contact.png: picture, true mask (if there is one), made mask, some of every split."""
    rows = []
    for name, split in splits.items():
        height, width = split.images.shape[2:]
        made = read(folder, name, (len(split), height, width))
        for index in np.linspace(0, len(split) - 1, min(_SHOWN, len(split))).astype(int):
            truth = torch.zeros(height, width) if split.masks is None else split.masks[index] / 255
            picture = split.images[index].permute(1, 2, 0).numpy()
            scale = -(-_HEIGHT // height)
            shown = made[index].astype(np.float32) / 255
            rows.append(side_by_side(picture, truth.numpy(), shown, scale))
    sheet = captioned(grid(rows), ["picture", "true mask", "made mask"])
    Image.fromarray(sheet).save(folder / "contact.png")
