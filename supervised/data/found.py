"""What loading found, in one line: so that a mistake in a folder is seen before training."""

from __future__ import annotations

import torch

from rl_attn.supervised.data.dataset import DataSet


def found(dataset: DataSet) -> str:
    """Images, classes, what was left out and why, how masks cover their images.

    "on" is above one half: such pixels are the region that IoU and its kin compare with.
    """
    height, width = dataset.size
    parts = [
        f"{dataset.name}: {sum(map(len, dataset.splits.values())):,} images of {width}x{height} "
        f"{_learned(dataset)}",
        *dataset.notes,
    ]
    images = dataset.splits["train"].images
    least, most = int(images.amin()), int(images.amax())
    if most - least < 64:  # perhaps a wrong range
        parts.append(f"images hold levels {least} to {most} of 255 only")
    return "; ".join([*parts, _masks(dataset)])


def _learned(dataset: DataSet) -> str:
    """Classes and how many images each has, or what numbers there are."""
    splits = dataset.splits.values()
    if dataset.splits["train"].values is not None:
        return f"with {range_of(dataset.classes[0], torch.cat([s.values.cpu() for s in splits]))}"
    counts = torch.stack([s.counts(len(dataset.classes)).cpu() for s in splits]).sum(0)
    fewest, most = int(counts.min()), int(counts.max())
    return f"in {len(dataset.classes)} classes ({fewest:,} to {most:,} each)"


def range_of(name: str, values: torch.Tensor) -> str:
    """Their range and spread in words.

    >>> range_of("age", torch.tensor([20.0, 40.0]))
    'age 20 to 40 (mean 30, standard deviation 10)'
    """
    spread = values.std(correction=0).item()
    return (
        f"{name} {values.min().item():.4g} to {values.max().item():.4g} (mean "
        f"{values.mean().item():.4g}, standard deviation {spread:.4g})"
    )


def _masks(dataset: DataSet) -> str:
    """Shares of all masks of the set."""
    splits = [split for split in dataset.splits.values() if split.masks is not None]
    if not splits:
        return "no masks"
    least, most = (
        torch.cat([of(split.masks.flatten(1), 1).cpu() for split in splits])
        for of in (torch.amin, torch.amax)
    )
    annotated = torch.cat([split.annotated.cpu() for split in splits])
    columns = ((most == 0) & annotated, least > 127, (most > 0) & (most <= 127), ~annotated)
    empty, full, faint, unknown = (column.float().mean().item() for column in columns)
    said = f"masks: {empty:.1%} empty, {full:.1%} full, {faint:.1%} never above one half"
    return said + (f", {unknown:.1%} of the images not annotated" if unknown else "")
