"""Folds: every picture is tested once, classes keep their shares, nothing leaks."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.data import DataSet, Split, fold, load


def toy(n: int = 60, groups: bool = False) -> DataSet:
    """Pictures that carry their number in two pixels."""
    numbers = torch.arange(n)
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8)[:, None, None, :]
    labels = (numbers % 3 == 0).long()  # a third and two thirds
    whole = Split(images, labels, None, numbers % 2 if groups else None)
    parts = {"train": whole[: n // 2], "validation": whole[n // 2 : n - 5], "test": whole[n - 5 :]}
    return DataSet("toy", ("most", "few"), parts, "", (0.5,), (0.5,))


def numbers(split: Split) -> list[int]:
    pixels = split.images.flatten(1).long()
    return (256 * pixels[:, 0] + pixels[:, 1]).tolist()


def everything(splits: Iterable[Split]) -> list[int]:
    return sorted(number for split in splits for number in numbers(split))


def test_every_picture_is_tested_once_and_never_trained_on_then():
    folds = [fold(toy(), k, folds=5, seed=3) for k in range(5)]
    for name in ("test", "validation"):
        assert everything(one.splits[name] for one in folds) == list(range(60))
    for one in folds:
        assert everything(one.splits.values()) == list(range(60))  # no picture twice


def test_classes_keep_their_shares():
    for k in range(5):
        for part in fold(toy(), k, folds=5, seed=0).splits.values():
            assert part.labels.float().mean().item() == pytest.approx(1 / 3)


def test_groups_keep_their_shares():
    for k in range(5):
        test = fold(toy(groups=True), k, folds=5, seed=0).splits["test"]
        assert torch.bincount(2 * test.labels + test.groups).tolist() == [4, 4, 2, 2]


def test_seeds_deal_differently_and_repeat():
    first, again, other = (numbers(fold(toy(), 0, 5, seed).splits["test"]) for seed in (0, 0, 1))
    assert first == again != other


def test_without_validation_a_fold_trains_on_all_that_it_is_not_tested_on():
    folds = [fold(toy(), k, 5, 3, validate=False) for k in range(5)]
    for one, other in zip(folds, (fold(toy(), k, 5, 3) for k in range(5)), strict=True):
        train, test = one.splits["train"], one.splits["test"]
        assert len(train) == 48 and everything([train, test]) == list(range(60))
        assert numbers(test) == numbers(one.splits["validation"]) == numbers(other.splits["test"])
        assert one.pool == ("train", "test")


def test_tests_outside_of_the_pool_are_dealt_and_views_go():
    data, outside = toy(), toy(45).splits["train"]  # 22: 8 of them of the rarer class
    others = {"test-shifted": outside, "test-swapped": outside, "validation-unbiased": outside}
    data = replace(data, splits=data.splits | others, views=("validation-unbiased",))
    folds = [fold(data, k, 5, 0).splits for k in range(5)]
    assert set(folds[0]) == {"train", "validation", "test", "test-shifted", "test-swapped"}
    assert everything(one["test-shifted"] for one in folds) == sorted(numbers(outside))
    for one in folds:
        assert numbers(one["test-swapped"]) == numbers(one["test-shifted"])
        assert len(one["test-shifted"]) in (4, 5) and one["test-shifted"].labels.sum() in (1, 2)


def test_a_biased_set_keeps_its_own_test():
    data = load("decoy-mnist")
    folds = [fold(data, k, 10, 0) for k in range(10)]
    dealt = folds[0]
    assert set(dealt.splits) == {"train", "validation", "test-iid", "test"}
    assert sum(len(one.splits["test"]) for one in folds) == len(data.splits["test"])
    pooled = sum(len(dealt.splits[name]) for name in dealt.pool)
    assert pooled == len(data.splits["train"]) + len(data.splits["validation"])


@pytest.mark.parametrize(
    ("k", "folds", "message"),
    [
        (5, 5, "fold is 5: choose from 0 to 4"),
        (-1, 5, "fold is -1"),
        (0, 2, "folds is 2: the minimum is 3"),
        (0, 30, r"absent from a fold; too few of few \(20\)$"),
    ],
)
def test_folds_that_cannot_be(k, folds, message):
    with pytest.raises(UserError, match=message):
        fold(toy(), k, folds, 0)


def test_a_group_with_too_few_pictures():
    data = replace(toy(groups=True), group_names=("water", "land"))
    with pytest.raises(UserError, match=r"every group, (water|land) has 10"):
        fold(data, 0, 12, 0)
