"""Masks from elsewhere: those of a teacher, or of a person, in place of a set's own.

    DIR/<split>.npy                 uint8 (N, H, W), or floats and bools in [0, 1]
    DIR/<split>/<index>.png         one file a picture, named 000000.png, 000001.png, ...
    DIR/images/cat/x.png            of a set whose pictures have names: a file of the same name,
or  DIR/cat/x.png                   with any ending

in the order of the split's pictures as `load` gives them, and of their size. Where DIR/names.json
says whose the masks of each array are, as `rl-attn masks` leaves it, pictures find theirs by name,
in whatever split they are now. Levels are strengths
and every pixel is known, integers of 0 and 1 are read as 0 and 255; with options, both are decoded
as mask files are (`annotations`): `mask_kind=trimap`, `mask_label=1 mask_unknown=255`. The splits
to train with must be there; others without masks in DIR keep their own, so that attention is
measured against the true masks.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rl_attn.errors import UserError, one_line
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader
from rl_attn.supervised.data.dataset import DataSet, Split
from rl_attn.supervised.data.images import SUFFIXES, Problem, is_picture, open_picture, report

_REQUIRED = ("train", "validation")
SOFT = MaskOptions("soft")


def with_masks(
    dataset: DataSet,
    folder: Path,
    required: Collection[str] = _REQUIRED,
    options: MaskOptions = SOFT,
) -> DataSet:
    """The set with the masks of `folder`. UserError names what is missing or does not fit.

    required: splits that must have masks there. options: how they are meant, see `annotations`.
    """
    problems, splits = [], dict(dataset.splits)
    rows = _named_rows(folder)
    for name, split in dataset.splits.items():
        named = _named(folder, rows, split)
        lacking = [name for name, found in named.items() if found is None]
        if not (named or (folder / f"{name}.npy").is_file() or (folder / name).is_dir()):
            reason = f"neither {folder / name}.npy nor a folder {folder / name} exists"
        elif lacking:
            reason = f"{folder} lacks {len(lacking)} of {len(split)} masks, such as {lacking[0]}"
        else:
            reason = None
        if reason:
            problems += [Problem(reason)] if name in required else []
            continue
        try:
            masks, known = _masks(folder, name, split, MaskReader(options), [*named.values()])
            splits[name] = replace(split, masks=masks, known=known)
        except Problem as problem:
            problems.append(problem)
    report(problems)
    return replace(dataset, splits=splits, mask_meaning=f"the masks in {folder}")


#: What says whose the masks of arrays are: {split: [name, ...]}.
NAMES = "names.json"


def _named_rows(folder: Path) -> dict[str, tuple[Path, int]]:
    """Array and row of each picture that NAMES names."""
    file = folder / NAMES
    if not file.is_file():
        return {}
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
        return {
            str(name): (folder / f"{split}.npy", row)
            for split, listed in names.items()
            for row, name in enumerate(listed)
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error}): make the masks again") from None


def _named(
    folder: Path, rows: dict[str, tuple[Path, int]], split: Split
) -> dict[str, Path | tuple[Path, int] | None]:
    """The file, or the array and row, of each picture by its name; {} if none has one."""
    names = [] if split.names is None else map(str, split.names)
    found = {name: rows[name] if name in rows else _file(folder, name) for name in names}
    return found if any(found.values()) else {}


def _file(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / name.removeprefix("images/")):
        for ending in SUFFIXES:
            if (found := path.with_suffix(ending)).is_file():
                return found
    return None


def _masks(
    folder: Path,
    name: str,
    split: Split,
    reader: MaskReader,
    named: list[Path | tuple[Path, int]],
) -> tuple[Tensor, Tensor | None]:
    """uint8 and bool (N, H, W), None where all is known."""
    wanted, known = (len(split), *split.images.shape[2:]), None
    array = folder / f"{name}.npy"
    stored = (not named and array.is_file()) or any(isinstance(n, tuple) for n in named)
    if not stored:
        files = named or _files(folder / name, len(split))
        masks, known = _decoded(((path, open_picture(path)) for path in files), reader)
    elif named:
        arrays = {path: _array(path) for path, _ in named}
        masks = np.stack([arrays[path][row] for path, row in named])
    else:
        masks = _array(array)
    if masks.shape != wanted:
        raise Problem(f"the masks of {name} in {folder} are {masks.shape}, the pictures {wanted}")
    if stored and reader.options != SOFT:
        masks, known = _decoded(((array, _picture(mask)) for mask in masks), reader)
    device = split.images.device
    masks = torch.from_numpy(_bytes(masks, folder, name)).to(device)
    return masks, None if known is None else torch.from_numpy(known).to(device)


def _picture(mask: np.ndarray) -> Image.Image:
    """An array (H, W) as the grey picture that it would be in a file."""
    kind = {"b": np.uint8, "f": np.float32}.get(mask.dtype.kind, np.int32)
    return Image.fromarray(mask if mask.dtype == np.uint8 else mask.astype(kind))


def _decoded(
    files: Iterable[tuple[Path, Image.Image]], reader: MaskReader
) -> tuple[np.ndarray, np.ndarray | None]:
    """uint8 and bool (N, H, W) of opened masks, None where all is known."""
    found = []
    for path, image in files:
        try:
            found.append(reader(image))
        except Problem as problem:
            raise _of_this_flag(problem, path) from None
    for problem in reader.problems() if reader.options != SOFT else ():
        raise _of_this_flag(problem, None)
    sizes = {annotation.values.shape for annotation in found}
    if len(sizes) > 1:
        raise Problem(f"the masks in {path.parent} have different sizes: {sorted(sizes)}")
    masks = np.stack([annotation.values for annotation in found])
    if all(annotation.known is None for annotation in found):
        return masks, None
    everywhere = np.ones(masks.shape[1:], bool)
    return masks, np.stack([everywhere if a.known is None else a.known for a in found])


def _of_this_flag(problem: Problem, path: Path | None) -> Problem:
    reason = problem.reason.replace("--data-options", "--mask-options")
    return Problem(reason, problem.path or path)


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
        raise Problem(f"is no .npy file that can be read ({one_line(error)})", path) from None
    if masks.dtype.kind not in "buif":
        raise Problem(f"holds {masks.dtype}: it must hold numbers", path)
    return np.array(masks)


def _files(folder: Path, number: int) -> list[Path]:
    found = {int(p.stem): p for p in folder.iterdir() if is_picture(p) and p.stem.isdigit()}
    absent = [i for i in range(number) if i not in found]
    if absent:
        raise Problem(f"{folder} lacks {len(absent)} of {number} masks, first {absent[0]:06d}")
    return [found[i] for i in range(number)]
