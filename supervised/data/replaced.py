"""Masks from elsewhere: those of a teacher, or of a person, in place of a set's own.

    DIR/<split>.npy                 uint8 (N, H, W), or floats and bools in [0, 1]
    DIR/<split>/<index>.png         one file a picture, named 000000.png, 000001.png, ..., whose
                                    grey levels are strengths

in the order of the split's pictures as `load` gives them, and of their size. Integers of 0 and 1
are read as 0 and 255; every pixel is known. The splits to train with must be there; others without
masks in DIR keep their own, so that attention is measured against the true masks.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rl_attn.supervised.data.annotations import MaskOptions, MaskReader
from rl_attn.supervised.data.dataset import DataSet, Split
from rl_attn.supervised.data.images import Problem, is_picture, open_picture, report

_REQUIRED = ("train", "validation")


def with_masks(dataset: DataSet, folder: Path, required: Collection[str] = _REQUIRED) -> DataSet:
    """The set with the masks of `folder`. UserError names what is missing or does not fit.

    required: splits that must have masks there.
    """
    problems, splits = [], dict(dataset.splits)
    for name, split in dataset.splits.items():
        if not (folder / f"{name}.npy").is_file() and not (folder / name).is_dir():
            if name in required:
                reason = f"neither {folder / name}.npy nor a folder {folder / name} exists"
                problems.append(Problem(reason))
            continue
        try:
            splits[name] = replace(split, masks=_masks(folder, name, split), known=None)
        except Problem as problem:
            problems.append(problem)
    report(problems)
    return replace(dataset, splits=splits, mask_meaning=f"the masks in {folder}")


def _masks(folder: Path, name: str, split: Split) -> Tensor:
    wanted = (len(split), *split.images.shape[2:])
    array = folder / f"{name}.npy"
    masks = _array(array) if array.is_file() else _files(folder / name, split)
    if masks.shape != wanted:
        raise Problem(f"the masks of {name} in {folder} are {masks.shape}, the pictures {wanted}")
    return torch.from_numpy(_bytes(masks, folder, name)).to(split.images.device)


def _bytes(masks: np.ndarray, folder: Path, name: str) -> np.ndarray:
    """uint8 of 0 to 255; Problem: values that are no strengths."""
    integers = masks.dtype.kind in "ui"
    most = masks.max(initial=0)
    if integers and 1 < most <= 255 and masks.min() >= 0:
        return masks.astype(np.uint8)
    if not (np.isfinite(masks).all() and masks.min(initial=0) >= 0 and most <= 1):
        raise Problem(
            f"the masks of {name} in {folder} go from {masks.min()} to {most}: they must be "
            "integers of 0 to 255, or numbers from 0 to 1"
        )
    return np.round(masks.astype(np.float32) * 255).astype(np.uint8)


def _array(path: Path) -> np.ndarray:
    """What a .npy file holds, mapped from the disk: a header that lies takes no memory."""
    try:
        masks = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy raises nearly anything on files that are none of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Problem(f"is no .npy file that can be read ({reason})", path) from None
    if masks.dtype.kind not in "buif":
        raise Problem(f"holds {masks.dtype}: it must hold numbers", path)
    return np.array(masks)


def _files(folder: Path, split: Split) -> np.ndarray:
    found = {int(p.stem): p for p in folder.iterdir() if is_picture(p) and p.stem.isdigit()}
    absent = [i for i in range(len(split)) if i not in found]
    if absent:
        raise Problem(f"{folder} lacks {len(absent)} of {len(split)} masks, first {absent[0]:06d}")
    reader, masks = MaskReader(MaskOptions("soft")), []
    for i in range(len(split)):
        try:
            masks.append(reader(open_picture(found[i])).values)
        except Problem as problem:
            raise problem if problem.path else Problem(problem.reason, found[i]) from None
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1:
        raise Problem(f"the masks in {folder} have different sizes: {sorted(sizes)}")
    return np.stack(masks)
