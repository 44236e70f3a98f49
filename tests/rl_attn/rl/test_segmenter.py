"""The gate's loss and its widening, by hand."""

import math

import pytest
import torch

from rl_attn.rl.segmenter import weighted_cross_entropy, widen


def test_pixels_of_targets_count_more_often():
    """Probabilities 1/2 and 3/4, each once on a target and once beside it."""
    logits = torch.tensor([0.0, 0.0, math.log(3), math.log(3)]).view(1, 1, 2, 2)
    masks = torch.tensor([1, 0, 1, 0], dtype=torch.uint8).view(1, 1, 2, 2)
    loss = weighted_cross_entropy(logits, masks, weight=3.0)
    by_hand = (3 * math.log(2) + math.log(2) + 3 * math.log(4 / 3) + math.log(4)) / 4
    assert loss.shape == () and loss.item() == pytest.approx(by_hand, rel=1e-6)


def test_a_gate_is_widened_to_squares_that_end_at_the_border():
    gates = torch.zeros(1, 2, 4, 5, dtype=torch.uint8)
    gates[0, 0, 0, 0] = gates[0, 1, 2, 3] = 1
    before = gates.clone()
    assert widen(gates, 1)[0].tolist() == [
        [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]],
    ]
    assert widen(gates, 2)[0, 0].tolist() == [[1, 1, 1, 0, 0]] * 3 + [[0] * 5]
    assert torch.equal(widen(gates, 0), before) and torch.equal(gates, before)


def test_of_soft_gates_the_largest_nearby_is_taken():
    gates = torch.tensor([0.1, 0.2, 0.9, 0.3, 0.4]).view(1, 1, 1, 5)
    expected = torch.tensor([0.2, 0.9, 0.9, 0.9, 0.4]).view(1, 1, 1, 5)
    assert torch.equal(widen(gates, 1), expected)
