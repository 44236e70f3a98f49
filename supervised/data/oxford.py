"""Oxford-IIIT Pet (37 breeds, trimaps) and Oxford Flowers 102 (with its segmentations).

O. Parkhi et al., Cats and dogs, CVPR 2012; M.-E. Nilsback and A. Zisserman, Automated flower
classification over a large number of classes, ICVGIP 2008. Read or downloaded by torchvision
(`root/oxford-iiit-pet`, `root/flowers-102`); the segmentations of the flowers, which torchvision
leaves out, come from the set's own page.

Pets: the official trainval part is divided into train and validation, test is the official one. A
trimap is 1 on the pet, 2 on the background, 3 on its border, which is fur, whiskers and ears: the
mask is the pet, and `border` says what its border is.
Flowers: the official parts. Their segmentations paint the background blue, (0, 0, 254); the mask is
the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
from torchvision.datasets import Flowers102, OxfordIIITPet
from torchvision.datasets.utils import download_and_extract_archive

from rl_attn.errors import one_line
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader
from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD, DataSet, Split, missing
from rl_attn.supervised.data.deal import stratified_indices
from rl_attn.supervised.data.fit import Fit
from rl_attn.supervised.data.pictures import Picture, read_pictures
from rl_attn.supervised.data.registry import LOADERS

SEGMENTATIONS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102segmentations.tgz"
_BLUE = (0, 0, 254)


@LOADERS.register("oxford-pets")
def oxford_pets(
    root: Path | None = None,
    *,
    size: int = 256,
    fit: Fit = "letterbox",
    border: Literal["pet", "background", "unknown"] = "pet",
    validation: float = 0.15,
    seed: int = 0,
) -> DataSet:
    """Load the pets; `validation` is the share of trainval that validates."""
    root = Path("data") if root is None else root
    folder = root / "oxford-iiit-pet"
    parts = [_official(OxfordIIITPet, root, folder, part) for part in ("trainval", "test")]
    masks = MaskReader(
        MaskOptions(
            "label",
            label=(1, 3) if border == "pet" else (1,),
            unknown=(3,) if border == "unknown" else (),
        )
    )
    (learned, notes), (test, _) = (
        _split(
            [
                Picture(path, (folder / "annotations/trimaps" / f"{path.stem}.png",), label)
                for path, label in zip(part._images, part._labels, strict=True)
            ],
            size,
            fit,
            masks,
        )
        for part in parts
    )
    train, held_out = stratified_indices(learned.labels, validation, seed)
    splits = {"train": learned[train], "validation": learned[held_out], "test": test}
    meaning = f"the pet; its border is {border}"
    return _set("oxford-pets", tuple(parts[0].classes), splits, meaning, notes)


@LOADERS.register("oxford-flowers")
def oxford_flowers(root: Path | None = None, *, size: int = 256, fit: Fit = "letterbox") -> DataSet:
    """Load the flowers, 1,020 to train, 1,020 to validate and 6,149 to test."""
    root = Path("data") if root is None else root
    folder = root / "flowers-102"
    parts = {
        "train": _official(Flowers102, root, folder, "train"),
        "validation": _official(Flowers102, root, folder, "val"),
        "test": _official(Flowers102, root, folder, "test"),
    }
    if not (folder / "segmim").is_dir():
        _download_segmentations(folder)
    read = {
        name: _split(
            [
                Picture(path, (folder / "segmim" / path.name.replace("image", "segmim"),), label)
                for path, label in zip(part._image_files, part._labels, strict=True)
            ],
            size,
            fit,
            MaskReader(MaskOptions("painted", background=_BLUE)),
        )
        for name, part in parts.items()
    }
    splits = {name: split for name, (split, _) in read.items()}
    classes = tuple(map(str, parts["train"].classes))
    return _set("oxford-flowers", classes, splits, "the flower", read["train"][1])


def _official(
    source: type[OxfordIIITPet] | type[Flowers102], root: Path, folder: Path, part: str
) -> OxfordIIITPet | Flowers102:
    """One part of a set as torchvision knows it: names and labels, no pixels yet."""
    try:
        return source(str(root), part, download=True)
    except (RuntimeError, URLError, OSError) as error:
        raise missing(
            source.__name__,
            [folder],
            f"The download failed too ({one_line(error)}): get it from "
            "https://www.robots.ox.ac.uk/~vgg/data and unpack it there",
        ) from None


def _download_segmentations(folder: Path) -> None:
    try:
        download_and_extract_archive(SEGMENTATIONS, str(folder), remove_finished=True)
    except (RuntimeError, URLError, OSError) as error:
        raise missing(
            "The segmentations of oxford-flowers",
            [folder / "segmim"],
            f"The download of {SEGMENTATIONS} failed too ({one_line(error)}): unpack it there",
        ) from None


def _split(
    pictures: list[Picture], size: int, fit: Fit, masks: MaskReader
) -> tuple[Split, tuple[str, ...]]:
    """The part, and what was done to its images."""
    pixels = read_pictures(pictures, size, fit, masks)
    labels = torch.tensor([picture.label for picture in pictures])
    return Split(pixels.images, labels, pixels.masks, known=pixels.known), pixels.notes


def _set(
    name: str,
    classes: tuple[str, ...],
    splits: dict[str, Split],
    mask_meaning: str,
    notes: tuple[str, ...],
) -> DataSet:
    return DataSet(name, classes, splits, mask_meaning, IMAGENET_MEAN, IMAGENET_STD, notes=notes)
