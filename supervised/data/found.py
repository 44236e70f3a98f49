"""What loading found, in one line: so that a mistake in a folder is seen before training."""

from __future__ import annotations

import torch

from rl_attn.supervised.data.dataset import DataSet


def found(dataset: DataSet) -> str:
    """Images, classes, what was left out and why, how masks cover their images.

    "on" is above one half: such pixels are the region that IoU and its kin compare with.
    """
    counts = torch.stack(
        [s.labels.bincount(minlength=len(dataset.classes)).cpu() for s in dataset.splits.values()]
    ).sum(0)
    fewest, most = int(counts.min()), int(counts.max())
    height, width = dataset.size
    parts = [
        f"{dataset.name}: {int(counts.sum()):,} images of {width}x{height} in "
        f"{len(dataset.classes)} classes ({fewest:,} to {most:,} each)",
        *dataset.notes,
        *_levels(dataset),
        _masks(dataset),
    ]
    return "; ".join(parts)


def _levels(dataset: DataSet) -> list[str]:
    """What images that use little of the range of levels show: perhaps a wrong range."""
    images = dataset.splits["train"].images
    least, most = int(images.amin()), int(images.amax())
    return [f"images hold levels {least} to {most} of 255 only"] if most - least < 64 else []


def _masks(dataset: DataSet) -> str:
    """Shares of all masks of the set."""
    splits = [split for split in dataset.splits.values() if split.masks is not None]
    if not splits:
        return "no masks"
    empty, full, faint, unknown = (
        torch.cat([column(split).cpu() for split in splits]).float().mean().item()
        for column in (_empty, _full, _faint, lambda split: ~split.annotated)
    )
    said = f"masks: {empty:.1%} empty, {full:.1%} full, {faint:.1%} never above one half"
    return said + (f", {unknown:.1%} of the images not annotated" if unknown else "")


def _empty(split) -> torch.Tensor:
    return (split.masks.flatten(1).amax(1) == 0) & split.annotated


def _full(split) -> torch.Tensor:
    return split.masks.flatten(1).amin(1) > 127


def _faint(split) -> torch.Tensor:
    most = split.masks.flatten(1).amax(1)
    return (most > 0) & (most <= 127)
