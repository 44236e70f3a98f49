"""Cross-validation: the same folds for every method, stratified, as CAMAL's tables need them.

The splits in the set's `pool` are put together and dealt into `folds` parts with the classes (and
groups, where there are any) in equal shares. Fold k is tested on part k, validated on the next one
and trained on the rest, so over all folds every picture is tested on exactly once. Tests outside of
the pool are dealt alike: folds that shared them would not be apart. Where the set
knows whose pictures they are (`Split.subjects`), those of one subject stay in one part: a patient
is never on both sides of a test.
"""

from dataclasses import replace

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import DataSet, Split, concatenated
from rl_attn.supervised.data.deal import strata_of


def fold(dataset: DataSet, k: int, folds: int, seed: int, validate: bool = True) -> DataSet:
    """Fold `k` (0 to folds - 1) of the set; depends on the data, `folds` and `seed` alone.

    Of splits outside of the pool the tests are dealt, the others stay as they are. Where "test" is
    one of them (DecoyMNIST and ColorMNIST, whose test pictures are of another distribution), the
    part held out is "test-iid". The set's `views` are left out: they show pictures that the fold
    may train on.

    Args:
        validate: keep a part to validate on; else all but the part held out is trained on (90/10
            of ten folds), which is also "validation": to be watched, and never to select by.

    UserError: k or folds out of range; a class or group with fewer pictures (or subjects) than
    folds, which would be absent from some of them.

    >>> third = fold(load("digits"), k=2, folds=10, seed=0)
    >>> sorted(third.splits)
    ['test', 'train', 'validation']
    """
    if folds < 3:
        raise UserError(
            f"folds is {folds}: the minimum is 3, one to train on, one to validate and one to test"
        )
    if not 0 <= k < folds:
        raise UserError(f"fold is {k}: choose from 0 to {folds - 1}")
    pooled = concatenated(dataset.splits[name] for name in dataset.pool)
    strata = _strata(dataset, pooled, folds)
    whose = None if pooled.subjects is None else _subjects(dataset, pooled, folds)
    kind = StratifiedKFold if whose is None else StratifiedGroupKFold
    dealer = kind(folds, shuffle=True, random_state=seed)
    dealing = dealer.split(np.zeros(len(strata)), strata, whose)
    parts = [torch.from_numpy(part) for _, part in dealing]
    validation = (k + 1) % folds
    apart = (k, validation) if validate else (k,)
    train = torch.cat([part for i, part in enumerate(parts) if i not in apart])
    held_out = "test" if "test" in dataset.pool else "test-iid"
    dealt = {
        "train": pooled[train.sort().values],
        "validation": pooled[parts[validation if validate else k]],
        held_out: pooled[parts[k]],
    }
    gone = (*dataset.pool, *dataset.views)
    others = {
        name: _share(part, k, folds, seed) if name.startswith("test") else part
        for name, part in dataset.splits.items()
        if name not in gone
    }
    pool = tuple(dealt) if validate else ("train", held_out)
    return replace(dataset, splits=dealt | others, pool=pool, views=())


def _share(split: Split, k: int, folds: int, seed: int) -> Split:
    """Part k of a test split, with the classes and groups in shares as equal as they can be; of
    splits with the same labels the same places."""
    labels = strata_of(split)
    keys = labels if split.groups is None else labels + 1000 * split.groups
    order = np.random.default_rng(seed).permutation(len(keys))
    order = order[np.argsort(keys.cpu().numpy()[order], kind="stable")]
    return split[torch.from_numpy(np.sort(order[k::folds]))]


def _strata(dataset: DataSet, pooled: Split, folds: int) -> np.ndarray:
    """(N,) int: the class, or class and group, of each picture; of numbers see `strata_of`."""
    if pooled.values is not None:
        return strata_of(pooled, folds).cpu().numpy()
    labels = pooled.labels.cpu().numpy()
    counts = pooled.counts(len(dataset.classes)).tolist()
    few = [f"{dataset.classes[i]} ({n})" for i, n in enumerate(counts) if n < folds]
    if few:
        raise UserError(
            f"{dataset.name}: {folds} folds need at least {folds} pictures of every class, else "
            f"one is absent from a fold; too few of {', '.join(few)}"
        )
    if pooled.groups is None:
        return labels
    groups = pooled.groups.cpu().numpy()
    strata = labels * (groups.max() + 1) + groups
    found, of = np.unique(strata, return_counts=True)
    if of.min() < folds:
        group = int(found[of.argmin()] % (groups.max() + 1))
        name = dataset.group_names[group] if dataset.group_names else str(group)
        raise UserError(
            f"{dataset.name}: {folds} folds need at least {folds} pictures of every group, "
            f"{name} has {of.min()}: take fewer folds or more pictures"
        )
    return strata


def _subjects(dataset: DataSet, pooled: Split, folds: int) -> np.ndarray:
    """(N,) int: whose picture each is."""
    subjects, labels = pooled.subjects.cpu().numpy(), pooled.labels.cpu().numpy()
    counts = {name: len(np.unique(subjects[labels == i])) for i, name in enumerate(dataset.classes)}
    few = [f"{name} ({n})" for name, n in counts.items() if n < folds]
    if few:
        raise UserError(
            f"{dataset.name}: {folds} folds need pictures of every class from at least {folds} "
            f"subjects, whose pictures are kept together; too few with {', '.join(few)}"
        )
    return subjects
