"""Regions by hand."""

import torch

from rl_attn.supervised.regions import corners, ink_frequency, random_pixels


def test_corners_by_hand():
    expected = torch.tensor([[1, 1, 0, 1, 1], [1, 1, 0, 1, 1], [0] * 5, [1, 1, 0, 1, 1]]).float()
    expected = torch.cat([expected, expected[:1]])
    assert torch.equal(corners((5, 5), 2), expected)


def test_ink_frequency_by_hand():
    masks = torch.tensor([[[255, 0], [0, 0]], [[255, 9], [0, 0]]], dtype=torch.uint8)
    assert torch.allclose(ink_frequency(masks), torch.tensor([[2 / 3, 1 / 3], [0, 0]]))


def test_without_ink_every_pixel_is_as_likely():
    assert torch.equal(ink_frequency(torch.zeros(2, 2, 2)), torch.full((2, 2), 0.25))


def test_random_pixels_are_single_and_follow_the_frequency():
    torch.manual_seed(0)
    frequency = torch.tensor([[0.75, 0.25], [0.0, 0.0]])
    drawn = random_pixels(frequency, 4000)
    assert torch.equal(drawn.sum((1, 2)), torch.ones(4000))
    assert torch.allclose(drawn.mean(0), frequency, atol=0.03)
