"""BUSI: 780 breast ultrasound pictures, normal, benign or malignant, with the lesions' masks.

W. Al-Dhabyani, M. Gomaa, H. Khaled, A. Fahmy, Dataset of breast ultrasound images, Data in Brief 28
(2020) 104863. Read from the original folder (`Dataset_BUSI_with_GT/benign/benign (1).png`,
`benign (1)_mask.png`, `benign (1)_mask_1.png`, ...) or from one with united masks. A picture with
several lesions has the union of their masks; normal ones have empty masks: there is no place where
attention belongs, which methods have to allow for.

The set shows many lesions more than once, often once with the sonographer's crosses and once
without, and some under two classes. Left in, a fold's test would hold pictures that it was trained
on. `duplicates="drop"` keeps the first picture of each lesion and no lesion with contradicting
labels: 592 remain (316 benign, 184 malignant, 92 normal); of 139 clusters with 319 pictures, 8 with
19 pictures contradict themselves. `duplicates="keep"` leaves all 780, for comparison with
published numbers, which are inflated accordingly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from rl_attn.supervised.data.annotations import MaskOptions, MaskReader
from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD, DataSet, Split, missing
from rl_attn.supervised.data.deal import dealt
from rl_attn.supervised.data.duplicates import clusters, representatives
from rl_attn.supervised.data.fit import Fit
from rl_attn.supervised.data.images import is_picture
from rl_attn.supervised.data.pictures import Picture, read_pictures
from rl_attn.supervised.data.registry import LOADERS

CLASSES = ("normal", "benign", "malignant")
FOLDERS = ("busi_256", "busi", "BUSI", "Dataset_BUSI_with_GT", ".")


@LOADERS.register("busi")
def busi(
    root: Path | None = None,
    *,
    size: int = 128,
    fit: Fit = "letterbox",
    duplicates: Literal["drop", "keep"] = "drop",
    seed: int = 0,
) -> DataSet:
    """Load the set; its splits (70, 15, 15 %, stratified) depend on `seed`."""
    root = Path("data") if root is None else root
    places = [root / name for name in FOLDERS]
    folder = next((p for p in places if all((p / c).is_dir() for c in CLASSES)), None)
    if folder is None:
        raise missing(
            "busi",
            (f"{place}/{{{','.join(CLASSES)}}}" for place in places),
            "Get Dataset_BUSI_with_GT (Al-Dhabyani et al. 2020) and unpack it there",
        )
    pictures = [p for label, name in enumerate(CLASSES) for p in _class(folder / name, label)]
    images, masks, _, notes = read_pictures(pictures, size, fit, MaskReader(MaskOptions("soft")))
    everything = Split(images, torch.tensor([p.label for p in pictures]), masks)
    if duplicates == "drop":
        everything = everything[representatives(clusters(images), everything.labels)]
        notes = (f"left out {len(pictures) - len(everything)} duplicates", *notes)
    return DataSet(
        name="busi",
        classes=CLASSES,
        splits=dealt(everything, CLASSES, seed),
        mask_meaning="the lesions; empty for normal pictures",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        notes=notes,
    )


def _class(folder: Path, label: int) -> list[Picture]:
    files = sorted(path for path in folder.iterdir() if is_picture(path))
    masks: dict[str, list[Path]] = {}
    for path in files:
        name, mark, _ = path.stem.partition("_mask")
        if mark:
            masks.setdefault(name, []).append(path)
    return [
        # without a mask file the name that should be there is reported as missing
        Picture(p, tuple(masks.get(p.stem, [p.with_name(f"{p.stem}_mask.png")])), label)
        for p in files
        if "_mask" not in p.stem
    ]
