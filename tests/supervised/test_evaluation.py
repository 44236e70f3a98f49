import math

import numpy as np
import pytest
import torch
from torch import nn
from trainers import trainer_of

from rl_attn.errors import UserError
from rl_attn.supervised.batches import Batches, View
from rl_attn.supervised.data import LOADERS, DataSet, Split
from rl_attn.supervised.evaluation import evaluate
from rl_attn.supervised.network import Network
from rl_attn.supervised.scoring import (
    calibration_error,
    confusion,
    confusion_of_labels,
    ranked,
    scores,
    scores_of_labels,
)


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
    expected |= {"balanced_accuracy": 0.75, "sensitivity": 1.0, "specificity": 0.5}
    # Class 1 has the probability p for the first three pictures, 1 - p for the last.
    expected |= {"auroc": (0.5 + 1) / 2, "average_precision": 2 / 3}
    expected["calibration_error"] = 1 / (1 + math.exp(-8)) - 0.75
    assert found == pytest.approx(expected)


def certain(predicted: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(predicted, classes).float()


def test_of_more_than_two_classes_means_over_the_classes():
    split = Split(torch.zeros(6, 1, 2, 2).byte(), torch.tensor([0, 0, 1, 1, 2, 2]))
    predicted = torch.tensor([0, 1, 1, 1, 0, 0])
    found = scores(predicted, split, certain(predicted, 3))
    # Right of predicted: 1/3, 2/3, none; right of labelled: 1/2, 1, 0. F1: 2/5, 4/5, 0.
    expected = {"accuracy": 0.5, "precision": 1 / 3, "recall": 0.5, "f1": 0.4}
    # Of the four others, 2, 1 and 0 were taken for the class.
    expected |= {"balanced_accuracy": 0.5, "sensitivity": 0.5}
    expected["specificity"] = (2 / 4 + 3 / 4 + 4 / 4) / 3
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    matrix = confusion(predicted, split.labels, 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 2, 0], [2, 0, 0]]


def test_ranks_and_calibration_by_hand():
    labels = np.array([0, 0, 1, 2])
    probabilities = np.array([[0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7]])
    found = ranked(probabilities, labels)
    # Pairs in the right order, of class 0: 3 of 4; of class 1: 2 of 3; of class 2: all.
    assert found["auroc"] == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    # Precision where each picture of the class is met: 1 and 2/3; 1/2; 1.
    assert found["average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2 + 1) / 3)
    assert ranked(probabilities, np.zeros(4, int)) == {}
    confidence = torch.tensor([0.91, 0.92, 0.55, 1.0])  # bins 13, 13, 8, 14
    error = calibration_error(confidence, torch.tensor([1.0, 0.0, 1.0, 1.0]))
    assert error == pytest.approx((abs(1 - 0.91 - 0.92) + 0.45 + 0) / 4)


@pytest.mark.parametrize(
    ("classes", "label", "expected"),
    [
        (2, 0, {"specificity": 0.6}),  # 4 of 10 healthy ones are called ill
        (2, 1, {"sensitivity": 0.4, "recall": 0.4}),
        (3, 1, {"sensitivity": 0.4, "recall": 0.4}),
    ],
)
def test_a_split_of_one_class_has_the_rates_of_that_class(classes, label, expected):
    split = Split(torch.zeros(10, 1, 2, 2).byte(), torch.full((10,), label))
    predicted = torch.tensor([0] * 6 + [1] * 4)
    found = scores(predicted, split, certain(predicted, classes))
    right = 0.4 if label else 0.6
    expected = {"accuracy": right, "calibration_error": 1 - right, **expected}
    assert found == pytest.approx(expected)


def test_a_split_with_two_of_three_classes_is_measured_alike_whatever_is_predicted():
    """Means over both of its classes, not the second one where the third is not predicted."""
    split = Split(torch.zeros(4, 1, 2, 2).byte(), torch.tensor([0, 0, 1, 1]))
    for wrong in (1, 2):
        predicted = torch.tensor([0, wrong, 1, 1])
        assert scores(predicted, split, certain(predicted, 3))["recall"] == pytest.approx(0.75)


def test_a_label_that_no_picture_has_is_no_part_of_the_mean_recall():
    several = torch.tensor([[1, 0], [1, 0], [0, 0]]).bool()
    found = scores_of_labels(torch.tensor([[0.9, 0.1], [0.1, 0.8], [0.2, 0.3]]), several)
    assert found["sensitivity"] == found["recall"] == pytest.approx(1 / 2)
    assert found["precision"] == 1 and found["f1"] == pytest.approx(2 / 3)
    assert found["specificity"] == pytest.approx((1 + 2 / 3) / 2)
    nothing = scores_of_labels(torch.tensor([[0.9], [0.1]]), torch.zeros(2, 1).bool())
    assert nothing["specificity"] == 0.5 and not {"recall", "balanced_accuracy"} & nothing.keys()


def test_several_labels_by_hand():
    several = torch.tensor([[1, 0], [1, 1], [0, 1]]).bool()
    probabilities = torch.tensor([[0.9, 0.6], [0.4, 0.8], [0.3, 0.7]])
    found = scores_of_labels(probabilities, several)
    # Predicted: b of the first too, a of the second not; the third is right.
    assert found["accuracy"] == pytest.approx(4 / 6) and found["exact_match"] == pytest.approx(
        1 / 3
    )
    assert found["sensitivity"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["specificity"] == pytest.approx((1 + 0) / 2)
    assert found["auroc"] == pytest.approx(1) and found["average_precision"] == pytest.approx(1)
    split = Split(torch.zeros(3, 1, 2, 2).byte(), torch.tensor([0, 1, 1]), several=several)
    assert confusion_of_labels(probabilities, split.several).tolist() == [
        [[1, 0], [1, 1]],
        [[0, 1], [0, 2]],
    ]


def test_a_network_learns_several_labels_and_where_they_are(monkeypatch):
    """Bright corners: upper left is label a, lower right label b; some have both, some none."""
    generator = torch.Generator().manual_seed(0)
    several = torch.rand(96, 2, generator=generator) < 0.5
    images = torch.randint(0, 60, (96, 1, 28, 28), generator=generator)
    images[several[:, 0], 0, 2:10, 2:10] = 220
    images[several[:, 1], 0, 18:26, 18:26] = 220
    labels = torch.where(several[:, 1], 1, 0)
    masks = torch.zeros(96, 28, 28, dtype=torch.uint8)
    masks[several[:, 1], 18:26, 18:26] = 255
    masks[several[:, 0] & ~several[:, 1], 2:10, 2:10] = 255
    whole = Split(images.byte(), labels, masks, several=several)
    rows = {"train": slice(0, 64), "validation": slice(64, 80), "test": slice(80, 96)}
    splits = {name: whole[chosen] for name, chosen in rows.items()}
    data = DataSet("toy", ("a", "b"), splits, "the corner", (0.5,), (0.5,))
    monkeypatch.setitem(LOADERS, "toy", lambda root: data)
    trainer = trainer_of("camal", epochs=12, select="exact_match", size=0)
    while trainer.epoch < 12:
        assert trainer.run_epoch()
        trainer.finish_epoch()
    (found,) = evaluate(trainer.network, trainer.data.splits["test"])
    assert found["exact_match"] > 0.9 and found["auroc"] > 0.95 and found["energy_inside"] > 0.3
    for method, flags in (("vapl", {}), ("camal", {"class_weights": "balanced"})):
        with pytest.raises(UserError, match="is for pictures that have one class each"):
            trainer_of(method, size=0, **flags)
