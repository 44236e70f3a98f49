"""Attention that deviates from a mask more and more, made of the mask itself (CAMAL, Appendix B).

    shift    the mask moved, until nine tenths of it are uncovered: misaligned
    erode    the mask shrunk, until nine tenths of it are gone: too little covered
    dilate   the mask grown by as many pixels: too much covered

Severity is counted in pixels from 0, the mask itself. The paper does not say how far it goes; here
the object's size decides, so that every step changes the overlap of objects of any size.
"""

from typing import Literal, cast, get_args

import numpy as np
import scipy  # its ndimage loads at first use
import torch
from torch import Tensor

from rl_attn.attention.morphology import dilate, erode

Kind = Literal["shift", "erode", "dilate"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: The share of a mask that the strongest shift or erosion leaves uncovered.
_UNCOVERED = 0.9

#: Where shifts go: rows, columns.
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def deviations(
    mask: Tensor, kind: Kind, levels: int = 10, direction: tuple[int, int] = DIRECTIONS[0]
) -> tuple[Tensor, Tensor]:
    """Severities (n,) and the maps (n, H, W) in {0, 1} that deviate by so much; n <= levels + 1.

    Args:
        mask: (H, W), on above 0.5.
        levels: severities above 0, evenly up to `reach`; fewer where that is fewer pixels.
        direction: of shifts, one of DIRECTIONS.
    """
    on = (mask > 0.5).float()
    far = reach(on, kind, direction)
    severities = torch.linspace(0, far, levels + 1).round().unique().int()
    maps = [_deviated(on, kind, int(severity), direction) for severity in severities]
    return severities, torch.stack(maps)


def deviated(
    mask: Tensor, kind: Kind, share: float, direction: tuple[int, int] = DIRECTIONS[0]
) -> Tensor:
    """A mask (H, W), in [0, 1] or uint8 up to 255, with `share` (0 to 1) of its strongest
    deviation; soft edges stay."""
    soft = mask if mask.is_floating_point() else mask.float() / 255
    severity = round(share * reach(soft, kind, direction))
    if kind == "shift":
        return _shifted(mask, severity * direction[0], severity * direction[1])
    return _deviated(mask.float(), kind, severity, direction).to(mask.dtype)


def reach(mask: Tensor, kind: Kind, direction: tuple[int, int] = DIRECTIONS[0]) -> int:
    """The largest severity, in pixels: see above. 0 for an empty or a full mask."""
    on = mask.cpu().numpy() > 0.5
    if not on.any() or on.all():
        return 0
    if kind == "shift":
        return _shift_reach(on, direction)
    if kind in ("erode", "dilate"):  # an erosion by r takes the pixels within r of the outside
        depth = np.asarray(scipy.ndimage.distance_transform_cdt(on, "chessboard"))[on]
        return int(np.quantile(depth, _UNCOVERED, method="inverted_cdf"))
    raise ValueError(f"unknown kind {kind!r}: choose from {', '.join(KINDS)}")


def _shift_reach(on: np.ndarray, direction: tuple[int, int]) -> int:
    """By how much nine tenths are uncovered, at most the largest object's own length.

    Where moved objects come to lie on their neighbours, so many may never be: then where most are.
    """
    labels, _ = cast("tuple[np.ndarray, int]", scipy.ndimage.label(on))
    largest = np.bincount(labels.flat)[1:].argmax()
    along = scipy.ndimage.find_objects(labels)[largest][0 if direction[0] else 1]
    mask = torch.from_numpy(on)
    moves = range(1, along.stop - along.start + 1)
    moved = (_shifted(mask, by * direction[0], by * direction[1]) for by in moves)
    covered = np.array([int((mask & shifted).sum()) for shifted in moved])
    return int((covered <= max((1 - _UNCOVERED) * on.sum(), covered.min())).argmax()) + 1


def _deviated(mask: Tensor, kind: Kind, severity: int, direction: tuple[int, int]) -> Tensor:
    if kind == "shift":
        return _shifted(mask, severity * direction[0], severity * direction[1])
    change = erode if kind == "erode" else dilate
    return change(mask[None], severity)[0]


def _shifted(mask: Tensor, rows: int, columns: int) -> Tensor:
    """Moved down and to the right; what leaves the picture is lost, what comes in is 0."""
    moved = torch.zeros_like(mask)
    to_rows, from_rows = _overlap(rows, mask.shape[0])
    to_columns, from_columns = _overlap(columns, mask.shape[1])
    moved[to_rows, to_columns] = mask[from_rows, from_columns]
    return moved


def _overlap(by: int, size: int) -> tuple[slice, slice]:
    """Where a line of that size lies within itself after a move, and where it came from."""
    return slice(max(by, 0), size + min(by, 0)), slice(max(-by, 0), size - max(by, 0))
