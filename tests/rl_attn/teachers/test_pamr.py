"""PAMR against the sum over neighbours written out, and what it is for."""

import pytest
import torch

from rl_attn.teachers.pamr import DISTANCES, fitting, pamr


def slow(picture, mask, iterations, distances):
    """One picture (C, H, W), one mask (H, W), pixel by pixel."""
    height, width = picture.shape[1:]

    def at(values, y, x):
        return values[..., min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    offsets = [(d * a, d * b) for d in distances for a in (-1, 0, 1) for b in (-1, 0, 1)]
    moves = [offset for offset in offsets if offset != (0, 0)]
    for _ in range(iterations):
        result = torch.zeros_like(mask)
        for y in range(height):
            for x in range(width):
                window = torch.stack([at(picture, y + a, x + b) for a, b in offsets], 1)
                deviation = window.std(1)  # (C,), with the centre once a distance
                here = picture[:, y, x]
                unlike = [
                    ((here - at(picture, y + a, x + b)).abs() / (1e-8 + 0.1 * deviation)).mean()
                    for a, b in moves
                ]
                weights = (-torch.stack(unlike)).softmax(0)
                around = torch.stack([at(mask, y + a, x + b) for a, b in moves])
                result[y, x] = (weights * around).sum()
        mask = result
    return mask


def test_batches_equal_the_slow_loop():
    random = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 2, 5, 4, generator=random)
    masks = torch.rand(2, 2, 5, 4, generator=random)
    found = pamr(pictures, masks, iterations=2, distances=(1, 3))
    for b in range(2):
        for m in range(2):
            expected = slow(pictures[b], masks[b, m], 2, (1, 3))
            torch.testing.assert_close(found[b, m], expected, rtol=1e-4, atol=1e-5)


def test_the_scale_of_the_picture_does_not_matter():
    pictures, masks = torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)
    bytes_ = pictures * 255
    torch.testing.assert_close(pamr(pictures, masks), pamr(bytes_, masks), rtol=1e-3, atol=1e-3)


def test_a_blurred_mask_finds_the_edge_of_its_object():
    picture = torch.zeros(1, 3, 32, 32)
    picture[..., 8:24, 8:24] = 1.0
    truth = picture[:, :1]
    blurred = torch.nn.functional.avg_pool2d(truth, 9, 1, padding=4)
    before = ((blurred > 0.5) != (truth > 0.5)).sum()
    after = ((pamr(picture, blurred, distances=(1, 2, 4)) > 0.5) != (truth > 0.5)).sum()
    assert before > 8 and after < before / 4


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="of one size"):
        pamr(torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 9))


def test_neighbours_lie_within_a_fifth_of_the_picture():
    assert [fitting(side) for side in (3, 48, 64)] == [(1,), (1, 2, 4, 8), (1, 2, 4, 8, 12)]
    assert fitting(224) == DISTANCES
    pictures, masks = torch.rand(1, 3, 64, 80), torch.rand(1, 1, 64, 80)
    expected = pamr(pictures, masks, distances=(1, 2, 4, 8, 12))
    torch.testing.assert_close(pamr(pictures, masks), expected)
