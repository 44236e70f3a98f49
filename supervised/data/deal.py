"""Dividing pictures at random, with every class in the same share of each part; of numbers every
fifth of their order."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import Split

SHARES = {"validation": 0.15, "test": 0.15}  # the rest is for training
FEWEST = 4  # pictures of a class: two to learn from, one to validate on, one to test on
FIFTHS = 5  # of the pictures in the order of their numbers, or fewer where there are few


def strata_of(split: Split, least: int = 8) -> Tensor:
    """int64 (N,): the classes; of numbers the fifths, or fewer parts of `least` pictures or more,
    from the smallest; a single one where subjects, who are dealt whole, have them.

    >>> import torch
    >>> blank = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    >>> ages = torch.tensor([30.0, 10, 50, 20, 60, 40], dtype=torch.float64)
    >>> strata_of(Split(blank, torch.zeros(6, dtype=torch.int64), values=ages), least=2)
    tensor([1, 0, 2, 0, 2, 1])
    """
    if split.values is None:
        return split.labels
    parts = 1 if split.subjects is not None else max(1, min(FIFTHS, len(split) // least))
    return split.values.argsort(stable=True).argsort() * parts // len(split)


def stratified_indices(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sorted indices of a training and a validation part, stratified; of each class one or more
    where a part would have fewer pictures than there are classes."""
    if not 0 < share < 1:
        raise UserError(f"validation is {share}: it must be a share between 0 and 1")
    number = ceil(share * len(labels))
    if min(number, len(labels) - number) < len(labels.unique()):  # which scikit-learn refuses
        parts = _parts(labels, {"validation": share}, seed)
        return parts["train"], parts["validation"]
    train, held_out = train_test_split(
        torch.arange(len(labels)).numpy(), test_size=share, random_state=seed, stratify=labels
    )
    return torch.from_numpy(train).sort().values, torch.from_numpy(held_out).sort().values


def _parts(strata: Tensor, shares: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    """Sorted indices, of each stratum the shares, one picture at least; the rest trains."""
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {"train": [], **{name: [] for name in shares}}
    for label, number in enumerate(strata.bincount().tolist()):
        members = rng.permutation(np.flatnonzero(strata.numpy() == label))
        for name, share in shares.items():
            count = max(1, round(share * number))
            parts[name].append(members[:count])
            members = members[count:]
        parts["train"].append(members)
    return {name: torch.from_numpy(np.sort(np.concatenate(p))) for name, p in parts.items()}


def part_off(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """What is left, and a stratified share of the pictures: whole subjects where there are any."""
    if split.subjects is None:
        rest, taken = stratified_indices(strata_of(split), share, seed)
    else:
        labels, subjects = split.labels.numpy(), split.subjects.numpy()
        parts = min(round(1 / share), len(np.unique(subjects)))
        if parts < 2:
            raise UserError("all pictures to train on are of one patient: none is left to validate")
        dealer = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
        # A class of one patient must not be validated on: the first part that leaves most classes.
        dealing = dealer.split(labels, labels, subjects)
        rest, taken = max(dealing, key=lambda part: len(np.unique(labels[part[0]])))
        rest, taken = torch.from_numpy(rest), torch.from_numpy(taken)
        if split.several is None and len(split.labels[rest].unique()) < len(split.labels.unique()):
            raise UserError(
                "validation is taken from train, whose patients are too few to leave each class "
                "some: name the pictures to validate on"
            )
    return split[rest], split[taken]


def dealt(everything: Split, classes: Sequence[str], seed: int) -> dict[str, Split]:
    """Splits for a set that has none of its own: 70, 15 and 15 %, each class in all three.

    Pictures of one subject stay in one split: the shares are then as near as that allows.
    UserError: a class with fewer than four pictures (or three subjects), or a single class.
    """
    strata, number = strata_of(everything), everything.values is not None
    counts = (strata.bincount() if number else everything.counts(len(classes))).tolist()
    names = classes * len(counts) if number else classes
    few = [f"{name} ({n})" for name, n in zip(names, counts, strict=True) if n < FEWEST]
    if number and few:
        raise UserError(
            f"{len(everything)} pictures are too few to train, validate and test: at least "
            f"{FEWEST} are needed"
        )
    if few or (len(classes) < 2 and not number):
        raise UserError(
            f"at least two classes with {FEWEST} pictures each are needed to train, validate and "
            f"test; too few of {', '.join(few) or 'classes: only ' + classes[0]}"
        )
    if everything.subjects is not None:
        return _dealt_by_subject(everything, classes, seed)
    return {name: everything[rows] for name, rows in _parts(strata, SHARES, seed).items()}


def _dealt_by_subject(everything: Split, classes: Sequence[str], seed: int) -> dict[str, Split]:
    """Of parts of a seventh (or more, where a class has few subjects) one tests, one validates."""
    subjects, labels = everything.subjects.numpy(), everything.labels.numpy()
    counts = [len(np.unique(subjects[labels == label])) for label in range(len(classes))]
    few = [f"{name} ({n})" for name, n in zip(classes, counts, strict=True) if n < 3]
    if few:
        raise UserError(
            "pictures of at least three patients are needed of every class, one for each split; "
            f"too few of {', '.join(few)}"
        )
    dealer = StratifiedGroupKFold(min(7, *counts), shuffle=True, random_state=seed)
    parts = [part for _, part in dealer.split(labels, labels, subjects)]
    dealt = {"train": np.concatenate(parts[2:]), "validation": parts[1], "test": parts[0]}
    return {name: everything[torch.from_numpy(np.sort(part))] for name, part in dealt.items()}
