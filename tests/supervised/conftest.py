"""A data set small enough for a second: stripes tell the class, a bar at the top tells it too."""

import sys
from pathlib import Path

import pytest
import torch

from rl_attn.supervised.data import LOADERS, DataSet, Split

sys.path.insert(0, str(Path(__file__).parent))  # tests import `trainers`

CLASSES = 3


def toy_split(number: int, seed: int, honest: bool) -> Split:
    """An 8x8 square whose stripes are the class; the bar's shade is it too, or is random."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % CLASSES
    images = torch.randint(0, 30, (number, 1, 20, 20), generator=generator)
    masks = torch.zeros(number, 20, 20)
    rows = torch.randint(6, 12, (number,), generator=generator)
    columns = torch.randint(0, 12, (number,), generator=generator)
    for i in range(number):
        where = (slice(rows[i], rows[i] + 8), slice(columns[i], columns[i] + 8))
        stripes = torch.zeros(8, 8, dtype=torch.int64)
        stripes[:: 1 + labels[i]] = 200
        images[i, 0][where] = stripes
        masks[i][where] = 255
        told = labels[i] if honest else torch.randint(CLASSES, (1,), generator=generator)[0]
        images[i, 0, :3] = 80 * told
    return Split(images.byte(), labels, masks.byte(), (labels == 0).long())


@pytest.fixture(scope="session")
def toy_set() -> DataSet:
    """48 training pictures in which the bar gives the class away, 24 tests in which it misleads."""
    splits = {
        "train": toy_split(48, 0, True),
        "validation": toy_split(18, 1, True),
        "test": toy_split(24, 2, False),
        "test-iid": toy_split(12, 3, True),
    }
    return DataSet("toy", ("a", "b", "c"), splits, "the square", (0.5,), (0.5,))


@pytest.fixture
def toy(toy_set: DataSet, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """It is the data set "toy" of the training command; `masked=false` takes its masks away."""

    def loader(root: object, *, masked: bool = True) -> DataSet:
        if masked:
            return toy_set
        bare = {k: Split(s.images, s.labels) for k, s in toy_set.splits.items()}
        return DataSet("toy", ("a", "b", "c"), bare, "none", (0.5,), (0.5,))

    monkeypatch.setitem(LOADERS, "toy", loader)
    return toy_set
