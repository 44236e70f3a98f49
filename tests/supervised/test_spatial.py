"""Spatial variance of a network whose map is its picture."""

import numpy as np
import pytest
import torch
from torch import nn

from rl_attn.supervised.batches import Batches, View
from rl_attn.supervised.data import Split
from rl_attn.supervised.network import Network
from rl_attn.supervised.spatial import save_arrays, spatial_variance


class Copies(nn.Module):
    """Its only feature map is the picture, and all of it counts for every class."""

    def __init__(self):
        super().__init__()
        self.identity = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.identity.weight)

    def forward(self, x):
        return self.identity(x).sum(dim=(1, 2, 3))[:, None].expand(-1, 2)


@pytest.fixture
def split() -> Split:
    images = torch.randint(0, 256, (9, 1, 3, 4), generator=torch.Generator().manual_seed(0))
    images[:, 0, 0, 0] = 255  # each picture's maximum, so that its map is the picture itself
    masks = (images[:, 0] > 100).byte() * 255
    masks[4] = 0
    return Split(images.byte(), torch.zeros(9).long(), masks)


def test_moments_of_attention_and_of_masks_that_are_not_empty(split):
    view = View(None, 1, torch.zeros(1), torch.ones(1))
    found = spatial_variance(Network(Copies(), "identity"), Batches(split, view))
    maps = split.images[:, 0].numpy() / 255
    assert found["count"] == 9 and found["mask_count"] == 8
    assert found["mean"] == pytest.approx(maps.mean(0), abs=1e-6)
    assert found["variance"] == pytest.approx(maps.var(0), abs=1e-6)
    on = (split.masks[[i for i in range(9) if i != 4]] > 0).numpy()
    assert found["mask_variance"] == pytest.approx(on.var(0), abs=1e-6)


def test_without_masks_there_are_none(split, tmp_path):
    bare = Batches(Split(split.images, split.labels), View(None, 1, *torch.ones(2, 1)))
    found = spatial_variance(Network(Copies(), "identity"), bare)
    assert set(found) == {"count", "mean", "variance"}
    save_arrays(tmp_path / "attention" / "variance.npz", found)
    with np.load(tmp_path / "attention" / "variance.npz") as stored:
        assert np.array_equal(stored["variance"], found["variance"])
    assert [file.name for file in (tmp_path / "attention").iterdir()] == ["variance.npz"]
