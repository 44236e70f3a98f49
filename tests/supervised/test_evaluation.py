import pytest
import torch
from torch import nn

from rl_attn.supervised.batches import Batches, View
from rl_attn.supervised.data import Split
from rl_attn.supervised.evaluation import evaluate, scores
from rl_attn.supervised.network import Network


class ReadsTheTopLeft(nn.Module):
    """Class 1 if the left half is brighter; its map is the picture itself."""

    def __init__(self):
        super().__init__()
        self.identity = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.identity.weight)

    def forward(self, x):
        x = self.identity(x)
        left, right = x[..., :2].sum(dim=(1, 2, 3)), x[..., 2:].sum(dim=(1, 2, 3))
        return torch.stack([right, left], 1)


@pytest.fixture
def split() -> Split:
    images = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)
    images[:3, :, :, :2] = 255  # three are bright on the left, one on the right
    images[3, :, :, 2:] = 255
    masks = torch.zeros(4, 4, 4, dtype=torch.uint8)
    masks[0, :, :2] = 255  # exactly where it looks
    masks[1, :, 2:] = 255  # exactly where it does not
    masks[2] = 0  # nothing: accuracy alone counts
    masks[3, :2, 2:] = 255  # half of where it looks
    labels, groups = torch.tensor([1, 1, 0, 0]), torch.tensor([0, 0, 1, 1])
    return Split(images, labels, masks, groups)


def test_hand_computed(split):
    network = Network(ReadsTheTopLeft(), "identity")
    view = View(None, 1, torch.zeros(1), torch.ones(1))
    (found,) = evaluate(network, Batches(split, view), size=3)
    assert found["accuracy"] == 0.75 and found["worst_group_accuracy"] == 0.5
    # IoU of pictures 0, 1 and 3: 1, 0, 4/8
    assert found["iou"] == pytest.approx(0.5)
    assert found["energy_inside"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert found["alpha"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["beta"] == pytest.approx((0 + 1 + 4 / 12) / 3)
    assert found["pointing_game"] == pytest.approx(2 / 3)
    assert found["iou_ceiling"] == pytest.approx(1) and found["dead_maps"] == 0


def test_the_model_is_left_as_it_was(split):
    network = Network(ReadsTheTopLeft(), "identity")
    network.model.train()
    evaluate(network, Batches(split, View(None, 1, torch.zeros(1), torch.ones(1))))
    weight = network.model.identity.weight
    assert network.model.training and weight.requires_grad and weight.grad is None
    assert not network.model.identity._forward_hooks


def test_without_masks_only_accuracy_is_measured(split):
    bare = Split(split.images, split.labels)
    view = View(None, 1, torch.zeros(1), torch.ones(1))
    (found,) = evaluate(Network(ReadsTheTopLeft(), "identity"), Batches(bare, view))
    # Predicted 1 1 1 0 of 1 1 0 0.
    expected = {"accuracy": 0.75, "precision": 2 / 3, "recall": 1.0, "f1": 0.8}
    assert found == pytest.approx(expected)


def test_precision_and_recall_of_more_than_two_classes_are_means_over_the_classes():
    split = Split(torch.zeros(6, 1, 2, 2).byte(), torch.tensor([0, 0, 1, 1, 2, 2]))
    found = scores(torch.tensor([0, 1, 1, 1, 0, 0]), split)
    # Right of predicted: 1/3, 2/3, none; right of labelled: 1/2, 1, 0. F1: 2/5, 4/5, 0.
    expected = {"accuracy": 0.5, "precision": 1 / 3, "recall": 0.5, "f1": 0.4}
    assert found == pytest.approx(expected)
