"""`lidc`, `pancreas`, `gender` and `scene`: what `python -m supervised.data.prepare` wrote.

The four sets of Zhang et al. 2024 (VAPL, Sec. 5.1), in the layout of `prepare.samples`, from
`root/<set>` or `root` itself. `train`, `validation` and `test` say how many pictures each part has,
in equal shares of the classes, drawn by `seed`; 0 takes all that are left. The defaults are the
paper's numbers: 100 / 1200 / 1200 for lidc, 30 / 30 / the rest for pancreas, 100 annotated training
pictures for gender and scene, whose validation and test parts are the published ones.

Whoever is in one part is in no other: patients are dealt, not pictures, and what is left over of a
patient whose class is full is left out. The paper does not say whether it did so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader
from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD, DataSet, Split, missing
from rl_attn.supervised.data.fit import Fit
from rl_attn.supervised.data.pictures import Picture, read_pictures
from rl_attn.supervised.data.prepare.samples import SPLITS, TABLE, Sample, read_table
from rl_attn.supervised.data.registry import LOADERS

ORIGINALS = {
    "lidc": "LIDC-IDRI (cancerimagingarchive.net/collection/lidc-idri)",
    "pancreas": "Pancreas-CT (cancerimagingarchive.net/collection/pancreas-ct) and Task07_Pancreas "
    "(medicaldecathlon.com)",
    "gender": "gender_data (github.com/YuyangGao/RES)",
    "scene": "places (github.com/YuyangGao/RES)",
}


@LOADERS.register("lidc")
def lidc(
    root: Path | None = None,
    *,
    size: int = 224,
    fit: Fit = "letterbox",
    train: int = 100,
    validation: int = 1200,
    test: int = 1200,
    seed: int = 0,
) -> DataSet:
    """Patches of lung CT with a nodule, or beside one."""
    sizes = {"train": train, "validation": validation, "test": test}
    return _load("lidc", root, (size, fit), sizes, seed, "the nodule; empty beside one")


@LOADERS.register("pancreas")
def pancreas(
    root: Path | None = None,
    *,
    size: int = 224,
    fit: Fit = "letterbox",
    train: int = 30,
    validation: int = 30,
    test: int = 0,
    seed: int = 0,
) -> DataSet:
    """Slices of abdominal CT through a pancreas, healthy or with a tumour."""
    sizes = {"train": train, "validation": validation, "test": test}
    meaning = "the pancreas; of ill ones the tumour, if prepared so"
    return _load("pancreas", root, (size, fit), sizes, seed, meaning)


@LOADERS.register("gender")
def gender(
    root: Path | None = None,
    *,
    size: int = 224,
    fit: Fit = "letterbox",
    mask: Literal["prompt", "factual"] = "prompt",
    train: int = 100,
    annotated: bool = True,
    seed: int = 0,
) -> DataSet:
    """Photographs of one man or one woman, from MS COCO.

    `mask`: the prompt as published, factual matters, counterfactual does not, the rest is unknown;
    or "factual", where the rest of an annotated picture does not matter either. `annotated`: train
    on annotated pictures alone.
    """
    return _res("gender", root, (size, fit), mask, train, annotated, seed)


@LOADERS.register("scene")
def scene(
    root: Path | None = None,
    *,
    size: int = 224,
    fit: Fit = "letterbox",
    mask: Literal["prompt", "factual"] = "prompt",
    train: int = 100,
    annotated: bool = True,
    seed: int = 0,
) -> DataSet:
    """Natural or urban places, from Places365; options as those of `gender`."""
    return _res("scene", root, (size, fit), mask, train, annotated, seed)


def _res(
    name: str,
    root: Path | None,
    size: tuple[int, Fit],
    mask: str,
    train: int,
    annotated: bool,
    seed: int,
) -> DataSet:
    sizes = {"train": train, "validation": 0, "test": 0}
    meaning = {
        "prompt": "what people marked as factual, against the counterfactual; the rest is unknown",
        "factual": "what people marked as factual; unknown where nobody did",
    }[mask]
    dataset = _load(name, root, size, sizes, seed, meaning, MaskOptions("trimap"), annotated)
    if mask == "prompt":
        return dataset
    return replace(dataset, splits={k: factual(part) for k, part in dataset.splits.items()})


def factual(split: Split) -> Split:
    """What is not factual in an annotated picture does not matter."""
    if split.known is None:
        return split
    return replace(split, known=split.annotated[:, None, None].expand_as(split.known).clone())


def _load(
    name: str,
    root: Path | None,
    size: tuple[int, Fit],
    sizes: Mapping[str, int],
    seed: int,
    mask_meaning: str,
    masks: MaskOptions | None = None,
    annotated: bool = False,
) -> DataSet:
    root = Path("data") if root is None else root
    folder = next((f for f in (root / name, root) if (f / TABLE).is_file()), None)
    if folder is None:
        raise missing(
            name,
            (f"{root}/{name}/{TABLE}", f"{root}/{TABLE}"),
            f"Get {ORIGINALS[name]} and prepare it: python -m supervised.data.prepare {name} "
            f"--from DIR --to {root}/{name}",
        )
    samples = read_table(folder / TABLE)
    if annotated:
        samples = [s for s in samples if s.annotated or s.split != "train"]
    classes = tuple(sorted({sample.category for sample in samples}))
    subjects = {s: i for i, s in enumerate(sorted({sample.subject for sample in samples}))}
    splits, notes = {}, {}  # notes once each
    for split, rows in deal(name, samples, classes, sizes, seed).items():
        pictures = [_picture(folder, samples[i], classes) for i in rows]
        pixels = read_pictures(pictures, *size, MaskReader(masks or MaskOptions("binary")))
        notes |= dict.fromkeys(pixels.notes)
        labels = torch.tensor([picture.label for picture in pictures], dtype=torch.int64)
        whose = torch.tensor([subjects[samples[i].subject] for i in rows], dtype=torch.int64)
        splits[split] = Split(pixels.images, labels, pixels.masks, None, whose, pixels.known)
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    return DataSet(name, classes, splits, mask_meaning, mean, std, notes=tuple(notes))


def _picture(folder: Path, sample: Sample, classes: Sequence[str]) -> Picture:
    mask = folder / "masks" / sample.category / f"{Path(sample.image).stem}.png"
    image = folder / "images" / sample.category / sample.image
    return Picture(image, (mask,), classes.index(sample.category))


def deal(
    name: str,
    samples: Sequence[Sample],
    classes: Sequence[str],
    sizes: Mapping[str, int],
    seed: int,
) -> dict[str, list[int]]:
    """Sorted indices of each part: subject after subject in random order, each to the first part
    that still wants a picture of theirs. Published splits are kept.

    UserError: fewer pictures of a class than a part asks for.
    """
    members: dict[tuple[str, str], list[int]] = {}
    for i, sample in enumerate(samples):
        members.setdefault((sample.subject, sample.split), []).append(i)
    order = np.random.default_rng(seed).permutation(len(members))
    waiting = [sorted(members)[i] for i in order]
    parts = {}
    for part in SPLITS:
        size = sizes[part]
        if size < 0 or 0 < size < len(classes):
            raise UserError(
                f"{part} of {name} is {size}: it must be 0 (all) or at least {len(classes)}, one "
                "picture a class"
            )
        share = size // len(classes) if size else len(samples)
        taken: dict[str, list[int]] = {label: [] for label in classes}
        waiting = [
            key
            for key in waiting
            if key[1] not in ("", part) or not _take(members[key], samples, taken, share)
        ]
        few = [f"{len(rows)} {label}" for label, rows in taken.items() if len(rows) < share]
        if size and few:
            raise UserError(
                f"{name}: {part}={size} needs {share} pictures of every class, there are only "
                f"{', '.join(few)} left: ask for fewer by the options {', '.join(sizes)}"
            )
        parts[part] = sorted(i for rows in taken.values() for i in rows)
    return parts


def _take(
    rows: Sequence[int], samples: Sequence[Sample], taken: dict[str, list[int]], share: int
) -> bool:
    """Add one subject's pictures to the classes that lack some; whether there were any."""
    before = sum(map(len, taken.values()))
    for i in rows:
        own = taken[samples[i].category]
        if len(own) < share:
            own.append(i)
    return sum(map(len, taken.values())) > before
