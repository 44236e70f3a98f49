"""Concept pictures, directions and the mapping."""

import pytest
import torch
from torch import nn

from rl_attn.supervised.concepts import Mapping, composite, separated


def test_composites_by_hand():
    """One channel, 1x4: an object of two pixels, another of one."""
    mine, my_mask = torch.tensor([[[[9.0, 8.0, 1.0, 1.0]]]]), torch.tensor([[[1.0, 1.0, 0, 0]]])
    other, its_mask = torch.tensor([[[[2.0, 4.0, 6.0, 5.0]]]]), torch.tensor([[[0, 0, 0, 1.0]]])
    pasted = composite(mine, my_mask, other, its_mask, "context")
    assert pasted.flatten().tolist() == [9, 8, 6, 4]  # its own object became the mean of 2, 4, 6
    painted = composite(mine, my_mask, other, its_mask, "colour")
    assert painted.flatten().tolist() == [5, 5, 4, 4]  # its object's colour on the mean around it


def test_direction_between_two_clouds():
    torch.manual_seed(0)
    spread = 0.01 * torch.randn(40, 5)
    axis = torch.tensor([3.0, 0, 4, 0, 0]) / 5
    direction, right = separated(spread[:20] + axis, spread[20:] - axis)
    assert right == 1
    assert torch.dot(direction, axis) > 0.99
    assert direction.norm() == pytest.approx(1)


def test_clouds_that_are_alike_have_no_good_direction():
    torch.manual_seed(0)
    samples = torch.randn(400, 3)
    assert separated(samples[:200], samples[200:])[1] < 0.7


def test_mapping_learns_both_ways_and_leaves_no_gradient():
    torch.manual_seed(0)
    teacher = torch.randn(60, 4, 3, 3)
    student = 0.2 * teacher[:, :2] - 0.1 * teacher[:, 2:]
    mapping = Mapping(4, 2)
    before = nn.functional.mse_loss(mapping.down(teacher), student).item()
    mapping.fit(teacher, student, 40, torch.Generator().manual_seed(0))
    assert nn.functional.mse_loss(mapping.down(teacher), student).item() < 0.5 * before
    assert all(p.grad is None and not p.requires_grad for p in mapping.parameters())
