"""Grey pictures of ten classes, 28x28: MNIST, Fashion-MNIST, and digits that need no download.

`digits` are the 1,797 real handwritten digits of scikit-learn (UCI, Alpaydin & Kaynak 1998), 8x8
with 17 levels of grey. They are scaled to 20x20 (bicubic) and centred in 28x28, as MNIST's digits
are, so that everything made for MNIST fits: the corners are free for decoys, too. Their fixed test
part is a stratified fifth; the other two come with theirs (60,000 and 10,000).

The masks are the ink: where a picture is brighter than 10 of 255. The strokes of `digits` are
blurred by their 8x8 pixels, and 10 would fill the holes of an 8: their ink begins at 80.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args
from urllib.error import URLError

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from rl_attn.errors import UserError, one_line
from rl_attn.supervised.data.dataset import DataSet, Split, missing
from rl_attn.supervised.data.deal import stratified_indices
from rl_attn.supervised.data.registry import LOADERS
from rl_attn.supervised.data.resize import resize, resize_split

if TYPE_CHECKING:
    from torchvision.datasets import MNIST

Base = Literal["digits", "mnist", "fashion-mnist"]
BASES: tuple[str, ...] = get_args(Base)
#: A pixel above this belongs to the object; 10 is Learning to Look's threshold for MNIST.
INK = {"digits": 80, "mnist": 10, "fashion-mnist": 10}
_FILES = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]
_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class GreyPictures:
    """The raw material: uint8 (N, 28, 28) and int64 (N,), in the order of the source."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]


def grey_pictures(base: Base, root: Path | None) -> GreyPictures:
    """Read one of the three; UserError if it is neither under `root` nor can be downloaded."""
    if base == "digits":
        return _digits()
    from torchvision.datasets import MNIST, FashionMNIST  # slow to import, and rarely needed

    source = MNIST if base == "mnist" else FashionMNIST
    folder = _idx_folder(source, base, root)
    images, labels, test_images, test_labels = (_read(folder / name) for name in _FILES)
    classes = _DIGITS if base == "mnist" else tuple(FashionMNIST.classes)
    return GreyPictures(images, labels, test_images, test_labels, classes)


def ink(images: Tensor, base: Base) -> Tensor:
    """Masks of grey pictures (..., 28, 28): 255 where there is ink."""
    return (images > INK[base]).to(torch.uint8) * 255


def grey(
    base: Base, root: Path | None = None, *, size: int = 28, validation: float = 0.1, seed: int = 0
) -> DataSet:
    """The set as it is: splits "train", "validation" (a stratified share of train) and "test".

    Args:
        size: pixels of a side, from 28 by bilinear interpolation.
        validation: share of the training pictures that is kept for validation.
        seed: of that choice.
    """
    source = grey_pictures(base, root)
    train, held_out = stratified_indices(source.labels, validation, seed)
    splits = {
        "train": (source.images[train], source.labels[train]),
        "validation": (source.images[held_out], source.labels[held_out]),
        "test": (source.test_images, source.test_labels),
    }
    return DataSet(
        name=base,
        classes=source.classes,
        splits={
            name: resize_split(Split(images[:, None], labels, ink(images, base)), size)
            for name, (images, labels) in splits.items()
        },
        mask_meaning=f"the ink: pixels brighter than {INK[base]} of 255",
        mean=(0.5,),
        std=(0.5,),
    )


for _base in BASES:
    LOADERS.register(_base)(partial(grey, _base))


def _digits() -> GreyPictures:
    bunch = load_digits()
    small = torch.from_numpy(bunch.images * (255 / 16)).round().to(torch.uint8)  # (N, 8, 8)
    images = F.pad(resize(small, 20, "bicubic"), (4, 4, 4, 4))  # (N, 28, 28)
    labels = torch.from_numpy(bunch.target).long()
    train, test = stratified_indices(labels, 0.2, seed=0)
    return GreyPictures(images[train], labels[train], images[test], labels[test], _DIGITS)


def _idx_folder(source: type[MNIST], base: str, root: Path | None) -> Path:
    """Where the four idx files lie; downloaded if they lie nowhere."""
    root = Path("data") if root is None else root
    raw = root / source.__name__ / "raw"
    places = [raw, root / base, root]
    for place in places:
        if all((place / name).exists() or (place / f"{name}.gz").exists() for name in _FILES):
            return place
    try:
        source(str(root), download=True)
    except (RuntimeError, URLError, OSError) as error:
        raise missing(
            base,
            (place / f"{_FILES[0]}[.gz]" for place in places),
            f"The download failed too ({one_line(error)}): put the four idx files of "
            f"{source.mirrors[0]} into {raw}, or take digits, which needs none",
        ) from None
    return raw


def _read(path: Path) -> Tensor:
    """An idx file, gzipped or not: pictures (N, 28, 28) uint8 or labels (N,) int64."""
    try:
        if path.exists():
            data = path.read_bytes()
        else:
            path = path.with_name(f"{path.name}.gz")
            data = gzip.decompress(path.read_bytes())
        dimensions = data[3]  # the header: two zeros, a type, and the sizes, big-endian
        sizes = np.frombuffer(data, ">i4", dimensions, offset=4)
        values = np.frombuffer(data, np.uint8, offset=4 * (dimensions + 1)).reshape(sizes)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): remove it and get it again") from None
    tensor = torch.from_numpy(values.copy())
    return tensor if tensor.ndim == 3 else tensor.long()
