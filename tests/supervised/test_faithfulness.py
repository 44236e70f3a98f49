"""Curves of a network whose confidence is known at every share of pixels."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from rl_attn.supervised.batches import Batches, View
from rl_attn.supervised.data import Split
from rl_attn.supervised.faithfulness import chosen, confidence_falls, faithfulness
from rl_attn.supervised.network import Network


class CountsLight(nn.Module):
    """Logits (light, 0): the class 0 is as probable as the picture is bright. Its map is it."""

    def __init__(self):
        super().__init__()
        self.identity = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.identity.weight)

    def forward(self, x):
        light = self.identity(x).sum(dim=(1, 2, 3))
        return torch.stack([light, torch.zeros_like(light)], 1)


@pytest.fixture
def batches() -> Batches:
    """Two pictures of class 0 with one bright pixel of four; black is -1 to the network."""
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    images[0, 0, 1, 1] = images[1, 0, 0, 1] = 255
    return Batches(Split(images, torch.zeros(2).long()), View(None, 1, *torch.full((2, 1), 0.5)))


def test_pixels_go_to_black_and_come_back_in_the_order_of_attention(batches):
    found = faithfulness(Network(CountsLight(), "identity"), batches, per_class=2, points=5)
    bright, black = (torch.tensor(float(light)).sigmoid().item() for light in (1 - 3, -4))
    table = found.table()
    assert table["share"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert table["deletion"].tolist() == pytest.approx([bright, *[black] * 4])
    assert table["insertion"].tolist() == pytest.approx([black, *[bright] * 4])
    areas = found.areas()
    assert areas["deletion_area"] == pytest.approx(black + (bright - black) / 8)
    assert areas["insertion_area"] == pytest.approx(bright - (bright - black) / 8)


def test_confidence_falls_by_what_masks_hide(batches):
    masks = torch.zeros(2, 2, 2, dtype=torch.uint8)
    masks[0, 1, 1] = 255  # the bright pixel of the first picture; the second has no mask
    split = replace(batches.split, masks=masks)
    bright, black = (torch.tensor(float(light)).sigmoid().item() for light in (1 - 3, -4))
    network = Network(CountsLight(), "identity")
    assert confidence_falls(network, Batches(split, batches.view)) == pytest.approx(
        [bright - black]
    )
    masks[0] = masks[1] = torch.tensor([[0, 0], [255, 0]])  # dark already
    assert confidence_falls(network, Batches(split, batches.view)) == [0.0]
    masks[:] = 0
    assert math.isnan(confidence_falls(network, Batches(split, batches.view))[0])


def test_the_same_pictures_of_each_class_whatever_the_method():
    labels = torch.tensor([0, 1, 2] * 5 + [2])
    index = chosen(labels, 2)
    assert labels[index].tolist() == [0, 0, 1, 1, 2, 2] and len(set(index.tolist())) == 6
    assert torch.equal(index, chosen(labels, 2))
    assert labels[chosen(labels, 99)].bincount().tolist() == [5, 5, 6]


def test_the_network_is_left_as_it_was(batches):
    network = Network(CountsLight(), "identity")
    network.model.train()
    faithfulness(network, batches, per_class=1, points=3)
    assert network.model.training and network.model.identity.weight.requires_grad
    network.copies = 2
    with pytest.raises(ValueError, match="follows one network"):
        faithfulness(network, batches, per_class=1)
