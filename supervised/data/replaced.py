"""Masks from elsewhere: those of a teacher, or of a person, in place of a set's own.

    DIR/<split>.npy                 uint8 (N, H, W), or floats and bools in [0, 1]
    DIR/<split>/<index>.png         one file a picture, named 000000.png, 000001.png, ...

in the order of the split's pictures as `load` gives them, and of their size. The splits to train
with must be there; others without masks in DIR keep their own, so that attention is measured
against the true masks.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rl_attn.supervised.data.dataset import DataSet, Split
from rl_attn.supervised.data.pictures import Problem, is_picture, open_picture, report, white

_REQUIRED = ("train", "validation")


def with_masks(dataset: DataSet, folder: Path, required: Collection[str] = _REQUIRED) -> DataSet:
    """The set with the masks of `folder`. UserError names what is missing or does not fit.

    required: splits that must have masks there.
    """
    problems, splits = [], dict(dataset.splits)
    for name, split in dataset.splits.items():
        if not (folder / f"{name}.npy").is_file() and not (folder / name).is_dir():
            if name in required:
                problems.append(f"neither {folder / name}.npy nor a folder {folder / name} exists")
            continue
        try:
            splits[name] = replace(split, masks=_masks(folder, name, split))
        except Problem as problem:
            problems.append(str(problem))
    report(problems)
    return replace(dataset, splits=splits, mask_meaning=f"the masks in {folder}")


def _masks(folder: Path, name: str, split: Split) -> Tensor:
    wanted = (len(split), *split.images.shape[2:])
    array = folder / f"{name}.npy"
    masks = _array(array) if array.is_file() else _files(folder / name, split)
    if masks.shape != wanted:
        raise Problem(f"the masks of {name} in {folder} are {masks.shape}, the pictures {wanted}")
    if masks.dtype != np.uint8:
        if not (np.isfinite(masks).all() and masks.min() >= 0 and masks.max() <= 1):
            raise Problem(f"{array} must hold uint8, or numbers from 0 to 1")
        masks = np.round(masks.astype(np.float32) * 255).astype(np.uint8)
    return torch.from_numpy(masks).to(split.images.device)


def _array(path: Path) -> np.ndarray:
    try:
        masks = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise Problem(f"{path} cannot be read ({error})") from None
    if masks.dtype.kind not in "buf":
        raise Problem(f"{path} holds {masks.dtype}: it must hold uint8, or numbers from 0 to 1")
    return masks


def _files(folder: Path, split: Split) -> np.ndarray:
    found = {int(p.stem): p for p in folder.iterdir() if is_picture(p) and p.stem.isdigit()}
    absent = [i for i in range(len(split)) if i not in found]
    if absent:
        raise Problem(f"{folder} lacks {len(absent)} of {len(split)} masks, first {absent[0]:06d}")
    masks = [np.asarray(white(open_picture(found[i]))) for i in range(len(split))]
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1:
        raise Problem(f"the masks in {folder} have different sizes: {sorted(sizes)}")
    return np.stack(masks)
