"""A split as bytes, and batches of it on the device: cropped, flipped, normalised there.

What chance decides for a picture (its place in the epoch, its crop, its flip) is drawn for a whole
epoch from a generator seeded by (seed, epoch): an interrupted epoch is drawn again, alike.

Letters: N pictures of a split, B of a batch, C channels, H x W pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_attn.supervised.data import DataSet, Split
from rl_attn.supervised.data.fit import Crop
from rl_attn.supervised.data.resize import resize_split
from rl_attn.supervised.tasks import Classes, task_of


class Batch(NamedTuple):
    pictures: Tensor  # (B, C, H, W) float32, normalised
    labels: Tensor  # (B,)
    masks: Tensor | None  # (B, H, W) float32 in [0, 1]; None also where targets were made at once
    target: Any  # what the method makes of the masks, see `Method.target`
    index: Tensor  # (B,) of the split
    known: Tensor | None = None  # (B, H, W) bool, False = unknown, see `Split`; None: all known
    weights: Tensor | None = None  # (B,) of the pictures in the task's loss; None: 1
    several: Tensor | None = None  # (B, classes) float, 1 for each label of a picture, see `Split`
    values: Tensor | None = None  # (B,) float64, where a number is asked for
    task: Classes = Classes()

    @property
    def allowed(self) -> Tensor:
        """(B, H, W) in [0, 1]: where evidence may come from, as nobody has said that it may not."""
        return self.masks if self.known is None else self.masks.masked_fill(~self.known, 1.0)


class Draws(NamedTuple):
    """Random draws of one epoch, on the CPU."""

    order: Tensor  # (N,) a permutation, or drawn with replacement
    crops: Tensor  # (N, 2) in [0, 1): where in its range each crop in that order begins
    flips: Tensor  # (N,) bool, in that order

    @classmethod
    def of(cls, number: int, seed: int, epoch: int, odds: Tensor | None = None) -> "Draws":
        """odds: (N,) by which pictures are drawn, with replacement; None: each once."""
        mixed = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
        order = torch.randperm(number, generator=generator)
        crops = torch.rand(number, 2, generator=generator)
        flips = torch.rand(number, generator=generator) < 0.5
        if odds is None:
            return cls(order, crops[order], flips[order])
        return cls(torch.multinomial(odds, number, True, generator=generator), crops, flips)


@dataclass
class View:
    """How pictures of a split become input: size, crop, channels, statistics."""

    crop: tuple[int, int] | None  # (H, W) cut out of the pictures; None: whole
    channels: int  # the network takes; grey pictures are repeated
    mean: Tensor  # (C,) of pictures in [0, 1]
    std: Tensor  # (C,)

    def __post_init__(self) -> None:
        # (C, 1, 1), or (1, 1, 1) where all channels have the same, so that grey stays one channel
        self.scale, self.shift = (
            (values[:1] if (values == values[0]).all() else values)[:, None, None]
            for values in (1 / (255 * self.std), -self.mean / self.std)
        )

    def pictures(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> float32, normalised. Grey ones are expanded, not copied."""
        x = torch.addcmul(self.shift, images.float(), self.scale)
        return x.expand(-1, self.channels, -1, -1) if x.shape[1] != self.channels else x


class Batches:
    """Batches of one split."""

    def __init__(
        self,
        split: Split,
        view: View,
        make_masks: Callable[[Tensor, Tensor], Tensor] | None = None,
        task: Classes | None = None,
    ):
        """
        Args:
            make_masks: (images, labels) -> (B, H, W) in [0, 1], for a split without masks.
            task: None: that of this split, see `task_of`.
        """
        self.split, self.view, self.make_masks = split, view, make_masks
        self.task = task or task_of(split)
        self.make_target: Callable[[Tensor, Tensor | None], Any] | None = None
        self.targets: Any = None  # of the whole split, where they can be made once
        self.class_weights: Tensor | None = None  # (classes,) of pictures in the task's loss

    def give_target(self, make: Callable[[Tensor, Tensor | None], Any], once: bool) -> None:
        """Have batches carry make(masks, known), made `once` for the whole split or batch by
        batch."""
        self.make_target = make
        split = self.split
        if once and split.masks is not None:
            chunk = max(1, min(4096, 2**26 // split.masks[0].numel()))  # bounds the memory
            masks = split.masks.split(chunk)
            known = [None] * len(masks) if split.known is None else split.known.split(chunk)

            def on(values: Tensor | None) -> Tensor | None:
                return None if values is None else values.to(split.labels.device)

            parts = [make(on(m).float() / 255, on(k)) for m, k in zip(masks, known, strict=True)]
            columns = zip(*parts, strict=True) if isinstance(parts[0], tuple) else [parts]
            joined = [torch.cat(column) for column in columns]
            self.targets = type(parts[0])(*joined) if isinstance(parts[0], tuple) else joined[0]

    def __len__(self) -> int:
        return len(self.split)

    def take(
        self, index: Tensor, crops: Tensor | None = None, flips: Tensor | None = None
    ) -> Batch:
        """The pictures of `index` (B,), which lies on the CPU as the others do.

        crops: (B, 2) in [0, 1), see `cropped`. flips: (B,) bool, which are mirrored.
        """
        index = index.to(self.split.labels.device)
        masks, known = self._annotations(index) if self.targets is None else (None, None)
        images = _taken(self.split.images, index)
        if self.view.crop is not None:
            whole = images
            images, masks = cropped(whole, masks, self.view.crop, crops)
            known = None if known is None else cropped(whole, known, self.view.crop, crops)[1]
        if flips is not None:
            chosen = flips.to(images.device)
            images = torch.where(chosen[:, None, None, None], images.flip(-1), images)
            masks, known = _flipped(masks, chosen), _flipped(known, chosen)
        masks = None if masks is None else masks.float() / 255
        if self.targets is not None:
            target = self.targets[index]
        else:
            made = self.make_target and masks is not None
            target = self.make_target(masks, known) if made else None
        labels = self.split.labels[index]
        weights = None if self.class_weights is None else self.class_weights[labels]
        several = None if self.split.several is None else self.split.several[index].float()
        values = None if self.split.values is None else self.split.values[index]
        pictures = self.view.pictures(images)
        return Batch(
            pictures, labels, masks, target, index, known, weights, several, values, self.task
        )

    def _annotations(self, index: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """uint8 masks (B, H, W) of the split, or made now, and bool: what is known of them."""
        split = self.split
        if self.make_masks is not None:  # by a model, which knows all
            made = self.make_masks(_taken(split.images, index), split.labels[index])
            return (made * 255).round().byte(), None
        masks = None if split.masks is None else _taken(split.masks, index)
        return masks, None if split.known is None else _taken(split.known, index)

    def in_order(self, size: int, copies: int = 1) -> Iterator[Batch]:
        """All pictures as they stand; each batch `copies` times in a row, for as many networks."""
        for index in torch.arange(len(self.split)).split(max(1, size // copies)):
            yield self.take(index.repeat(copies))


def _taken(values: Tensor, index: Tensor) -> Tensor:
    """values[index] on the device of the index; what lies in a file is on the CPU."""
    return values[index.to(values.device)].to(index.device)


def _flipped(values: Tensor | None, chosen: Tensor) -> Tensor | None:
    """Those of (B, H, W) that are chosen (B,), mirrored."""
    return None if values is None else torch.where(chosen[:, None, None], values.flip(-1), values)


def cropped(
    images: Tensor, masks: Tensor | None, size: tuple[int, int], at: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The same window of pictures (B, C, H, W) and masks (B, H, W).

    at: (B, 2) in [0, 1), rows and columns; None is the centre.
    """
    spare = [images.shape[2] - size[0], images.shape[3] - size[1]]
    if at is None:
        top, left = spare[0] // 2, spare[1] // 2
        rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
        masks = None if masks is None else masks[:, rows, columns]
        return images[:, :, rows, columns], masks
    first = (at * (torch.tensor(spare) + 1)).long().to(images.device)  # (B, 2)
    rows = first[:, :1] + torch.arange(size[0], device=images.device)  # (B, h)
    columns = first[:, 1:] + torch.arange(size[1], device=images.device)
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    where = (sample, rows[:, :, None], columns[:, None, :])
    masks = None if masks is None else masks[where]
    images = images.movedim(1, -1)[where].movedim(-1, 1)  # (B, C, h, w)
    return images, masks


def stored_side(size: int, crop: Crop) -> int:
    """The side at which pictures are kept so that `size` can be cut out of them.

    CAMAL resizes to 256 and crops 224: a crop of `size` is cut from pictures of 8/7 of it.
    """
    return size if crop == "none" else round(size * 256 / 224)


def resized(dataset: DataSet, size: int, crop: Crop) -> tuple[DataSet, tuple[int, int] | None]:
    """The set at the size asked for, and the window that is cut out of it; nothing is done to a set
    that was loaded at its `stored_side`. 0 keeps the pictures' size."""
    if size == 0 and crop == "none":
        return dataset, None
    side = size or min(dataset.size)
    window = None if crop == "none" else (side, side)
    stored = stored_side(side, crop)
    if dataset.size == (stored, stored):
        return dataset, window
    splits = {name: resize_split(split, stored) for name, split in dataset.splits.items()}
    return replace(dataset, splits=splits), window
