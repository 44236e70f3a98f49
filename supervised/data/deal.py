"""Dividing pictures at random, with every class in the same share of each part."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import Split

SHARES = {"validation": 0.15, "test": 0.15}  # the rest is for training
FEWEST = 4  # pictures of a class: two to learn from, one to validate on, one to test on


def stratified_indices(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sorted indices of a training and a validation part, stratified."""
    if not 0 < share < 1:
        raise UserError(f"validation is {share}: it must be a share between 0 and 1")
    train, held_out = train_test_split(
        torch.arange(len(labels)).numpy(), test_size=share, random_state=seed, stratify=labels
    )
    return torch.from_numpy(train).sort().values, torch.from_numpy(held_out).sort().values


def dealt(everything: Split, classes: Sequence[str], seed: int) -> dict[str, Split]:
    """Splits for a set that has none of its own: 70, 15 and 15 %, each class in all three.

    UserError: a class with fewer than four pictures, or a single class.
    """
    counts = torch.bincount(everything.labels, minlength=len(classes)).tolist()
    few = [f"{name} ({n})" for name, n in zip(classes, counts, strict=True) if n < FEWEST]
    if few or len(classes) < 2:
        raise UserError(
            f"at least two classes with {FEWEST} pictures each are needed to train, validate and "
            f"test; too few of {', '.join(few) or 'classes: only ' + classes[0]}"
        )
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    for label in range(len(classes)):
        members = rng.permutation(np.flatnonzero(everything.labels.numpy() == label))
        for name, share in SHARES.items():
            count = max(1, round(share * counts[label]))
            parts[name].append(members[:count])
            members = members[count:]
        parts["train"].append(members)
    order = {name: torch.from_numpy(np.sort(np.concatenate(p))) for name, p in parts.items()}
    return {name: everything[indices] for name, indices in order.items()}
