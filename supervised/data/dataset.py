"""What every data set here is: a few splits of pictures, labels and masks, see `storage`.

One convention for masks: they say where attention belongs, 255 there and 0 elsewhere, whatever the
set or the method. What to ignore is the rest of the picture; a set that can also mark just
a known distractor (the patch of DecoyMNIST) offers that as another `mask` option, inverted to the
same convention. `mask_meaning` says in words what the masks of a loaded set mark.

An annotation has three answers. `Split.masks` (uint8, 255 matters, 0 does not, soft in between) and
`Split.known` (bool; None: known everywhere) carry them: where `known` is False nobody said
anything, the mask's value there is 0 and means nothing, and losses and metrics count such pixels
neither way. An image without a mask file is unknown everywhere (`Split.annotated`), which is not
the same as an empty mask, which says that nothing in the image matters. Batches carry both alike,
masks as float in [0, 1]. A split whose `masks` is None has no annotations at all.

Where pictures have several labels, or none, `several` says which; `labels` then says whose
attention is looked at, the rarest label of each picture, and the mask is of that one. Where what is
asked for is a number, `values` has it; there is then one class, of its name.

Letters in shapes: N pictures, C channels (1 or 3), H, W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.supervised.data.storage import concatenation, moved, rows

#: Per channel, of pictures in [0, 1]: what torchvision's ImageNet weights were trained with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Split:
    """Pictures that are used together, all on one device (but see `storage`).

    >>> split = load("digits").splits["test"]
    >>> isinstance(split, Split), split[:2].labels.shape
    (True, torch.Size([2]))
    """

    images: Tensor  # uint8 (N, C, H, W), C is 1 or 3
    labels: Tensor  # int64 (N,)
    masks: Tensor | None = None  # uint8 (N, H, W), 255 = where attention belongs, soft in between
    groups: Tensor | None = None  # int64 (N,), for the accuracy of the worst group
    subjects: Tensor | None = None  # int64 (N,), whose pictures: `fold` keeps them together
    known: Tensor | None = None  # bool (N, H, W), False = unknown, the mask is 0; None: all known
    names: np.ndarray | None = None  # str (N,): each picture's file, as its folder calls it
    several: Tensor | None = None  # bool (N, classes), where pictures have several labels or none
    values: Tensor | None = None  # float64 (N,), where a number is asked for

    def __post_init__(self) -> None:
        images, n = self.images, len(self.images)
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 (N, 1 or 3, H, W), got {images.dtype} {tuple(images.shape)}"
            )
        masks = self.masks
        if masks is not None and (
            masks.shape != (n, *images.shape[2:]) or masks.dtype != torch.uint8
        ):
            raise ValueError(
                f"masks must be uint8 {(n, *images.shape[2:])} for these images, got "
                f"{masks.dtype} {tuple(masks.shape)}"
            )
        known = self.known
        if known is not None and (
            masks is None or known.shape != masks.shape or known.dtype != torch.bool
        ):
            raise ValueError(
                f"known must be bool and of the masks' shape, got {known.dtype} "
                f"{tuple(known.shape)}"
            )
        for name in ("labels", "groups", "subjects"):
            values = getattr(self, name)
            if values is not None and (values.shape != (n,) or values.dtype != torch.int64):
                raise ValueError(f"{name} must be int64 ({n},), got {values.dtype} {values.shape}")
        if self.several is not None and (
            self.several.ndim != 2 or len(self.several) != n or self.several.dtype != torch.bool
        ):
            raise ValueError(f"several must be bool ({n}, classes), got {self.several.shape}")
        values = self.values
        if values is not None and (values.shape != (n,) or values.dtype != torch.float64):
            raise ValueError(f"values must be float64 ({n},), got {values.dtype} {values.shape}")
        if self.names is not None and self.names.shape != (n,):
            raise ValueError(f"names must be ({n},), got {self.names.shape}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def annotated(self) -> Tensor:
        """(N,) bool: images with any annotation; all False without masks."""
        if self.known is not None:
            return self.known.flatten(1).any(1)
        return torch.full(
            (len(self),), self.masks is not None, dtype=torch.bool, device=self.labels.device
        )

    def __getitem__(self, index: Tensor | slice) -> Split:
        """The samples of a tensor of indices (or of bools), or of a slice."""
        names = self.names
        if names is not None:  # on the CPU, whatever device the rest is on
            names = names[index.cpu().numpy() if isinstance(index, Tensor) else index]
        return self._changed(lambda values: rows(values, index), names)

    def counts(self, classes: int) -> Tensor:
        """int64 (classes,): pictures with each label."""
        if self.several is not None:
            return self.several.sum(0)
        return self.labels.bincount(minlength=classes)

    def to(self, device: torch.device | str) -> Split:
        return self._changed(lambda values: moved(values, device), self.names)

    def _changed(self, change: Callable[[Tensor], Tensor], names: np.ndarray | None) -> Split:
        tensors = self._tensors().items()
        return Split(**{k: None if v is None else change(v) for k, v in tensors}, names=names)

    def _tensors(self) -> dict[str, Tensor | None]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "names"}


@dataclass(frozen=True)
class DataSet:
    """A loaded data set.

    `splits` always has "train", "validation" and "test"; where a set was published, they are the
    published ones. Others say what differs: "validation-unbiased", "test-shifted", ... Those named
    in `pool` are drawn from one distribution, and `fold` deals them again.

    >>> isinstance(load("digits"), DataSet), load("digits").size
    (True, (28, 28))
    """

    name: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    mask_meaning: str
    mean: tuple[float, ...]  # per channel of the input: x = (image / 255 - mean) / std
    std: tuple[float, ...]
    pool: tuple[str, ...] = ("train", "validation", "test")
    views: tuple[str, ...] = ()  # splits with other versions of pictures that are in the pool
    group_names: tuple[str, ...] = ()  # what the numbers in `groups` stand for
    notes: tuple[str, ...] = ()  # of loading: what was left out and why, see `found`

    @property
    def channels(self) -> int:
        """Of the input. More than the pictures have where grey ones are read as RGB."""
        return len(self.mean)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every picture."""
        return tuple(self.splits["train"].images.shape[2:])

    def to(self, device: torch.device | str) -> DataSet:
        return replace(self, splits={k: split.to(device) for k, split in self.splits.items()})


def concatenated(splits: Iterable[Split]) -> Split:
    """The samples of several splits, one after the other."""
    splits = list(splits)
    if any(split.known is not None for split in splits):
        splits = [_all_known(split) for split in splits]
    parts = [split._tensors() for split in splits]
    joined = {
        name: None if first is None else concatenation([part[name] for part in parts])
        for name, first in parts[0].items()
    }
    names = [split.names for split in splits if split.names is not None]
    return Split(**joined, names=np.concatenate(names) if len(names) == len(splits) else None)


def _all_known(split: Split) -> Split:
    """The split with `known` written out."""
    if split.known is not None or split.masks is None:
        return split
    return replace(split, known=torch.ones_like(split.masks, dtype=torch.bool))


def check(dataset: DataSet) -> DataSet:
    """Refuse, before any training, a set that no classifier can learn from.

    UserError: an empty split, a class with fewer than two pictures in the pool or none in train.
    """
    empty = [name for name, split in dataset.splits.items() if len(split) == 0]
    if empty:
        raise UserError(f"{dataset.name}: no picture in {', '.join(empty)}: ask for more pictures")
    counts = sum(dataset.splits[name].counts(len(dataset.classes)) for name in dataset.pool)
    rare = [f"{dataset.classes[i]} ({int(n)})" for i, n in enumerate(counts) if n < 2]
    if rare:
        raise UserError(
            f"{dataset.name}: every class needs at least 2 pictures, one to learn from and one to "
            f"test on; too few of {', '.join(rare)}"
        )
    train = dataset.splits["train"]
    unseen = [dataset.classes[i] for i, n in enumerate(train.counts(len(dataset.classes))) if n < 1]
    if unseen and train.several is None:
        raise UserError(
            f"{dataset.name}: train has no picture of {', '.join(unseen)}: give it some, or leave "
            "the class out of all splits"
        )
    return dataset


def missing(name: str, looked_for: Iterable[Path | str], remedy: str) -> UserError:
    """The error for a data set that is not where it should be."""
    places = ", ".join(str(place) for place in looked_for)
    return UserError(f"{name} was not found; looked for {places}. {remedy}")
