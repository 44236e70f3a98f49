"""The container: shapes are checked when a split is made, sets before training."""

import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import DataSet, Split, check, concatenated


def split(labels: list[int], size: int = 4) -> Split:
    n = len(labels)
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, size, size)
    return Split(images, torch.tensor(labels, dtype=torch.int64), images[:, 0], torch.arange(n))


def dataset(**splits: Split) -> DataSet:
    return DataSet("toy", ("cat", "dog"), splits, "all", (0.5,), (0.5,), pool=tuple(splits))


def test_indexing_takes_every_field():
    part = split([0, 1, 0, 1])[torch.tensor([3, 1])]
    assert part.labels.tolist() == [1, 1]
    assert part.groups.tolist() == [3, 1]
    assert part.images[:, 0, 0, 0].tolist() == part.masks[:, 0, 0].tolist() == [3, 1]


def test_concatenated_keeps_the_order():
    both = concatenated([split([0, 1]), split([1])])
    assert both.labels.tolist() == [0, 1, 1]
    assert both.groups.tolist() == [0, 1, 0]


def test_fields_that_are_missing_stay_missing():
    bare = Split(split([0, 1]).images, torch.tensor([0, 1]))
    both = concatenated([bare[:1], bare[1:]]).to("cpu")
    assert both.masks is None and both.groups is None and len(both) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"images": torch.zeros(2, 2, 4, 4, dtype=torch.uint8)},
        {"images": torch.zeros(2, 1, 4, 4)},
        {"masks": torch.zeros(2, 5, 4, dtype=torch.uint8)},
        {"masks": torch.zeros(2, 4, 4)},
        {"labels": torch.tensor([0, 1, 0])},
        {"groups": torch.tensor([0.0, 1.0])},
    ],
)
def test_a_split_refuses_fields_that_do_not_fit(fields):
    good = split([0, 1])
    values = {"images": good.images, "labels": good.labels, "masks": good.masks} | fields
    with pytest.raises(ValueError, match="must be"):
        Split(**values)


def test_check_names_classes_with_one_picture_and_empty_splits():
    check(dataset(train=split([0, 1]), test=split([0, 1])))
    with pytest.raises(UserError, match=r"at least 2 .* dog \(1\)$"):
        check(dataset(train=split([0, 0, 0]), test=split([1])))
    with pytest.raises(UserError, match="no picture in test"):
        check(dataset(train=split([0, 0, 1, 1]), test=split([])))


def test_size_and_channels():
    data = dataset(train=split([0, 1], size=6))
    assert data.size == (6, 6) and data.channels == 1
