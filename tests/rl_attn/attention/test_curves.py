import numpy as np
import pytest
import torch
from torch import nn

from rl_attn.attention.curves import deletion, insertion, pixel_ranks, removed_values
from rl_attn.attention.rise import probability_of


def total(pictures, rows):
    return pictures.sum(dim=(1, 2, 3))


PICTURE = torch.tensor([[[[4.0, 3.0], [2.0, 1.0]]]])
ORDER = torch.tensor([[[0.9, 0.5], [0.4, 0.1]]])  # brightest first


def test_deletion_and_insertion_by_hand():
    curve = deletion(total, PICTURE, ORDER, points=5)
    assert curve.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.values.tolist() == [[10, 6, 3, 1, 0]]
    assert curve.areas.tolist() == [(5 + 6 + 3 + 1) / 4]
    curve = insertion(total, PICTURE, ORDER, points=5)
    assert curve.values.tolist() == [[0, 4, 7, 9, 10]]
    assert curve.areas.tolist() == [(4 + 7 + 9 + 5) / 4]


def test_the_order_decides_the_area():
    wrong = deletion(total, PICTURE, 1 - ORDER, points=5)
    assert wrong.values.tolist() == [[10, 9, 7, 4, 0]]
    assert wrong.areas > deletion(total, PICTURE, ORDER, points=5).areas


def test_what_removed_pixels_become():
    ends = {"zero": 0.0, "mean": 10.0}
    for removed, end in ends.items():
        curve = deletion(total, PICTURE, ORDER, points=3, removed=removed)
        assert curve.values[0, 0] == 10 and curve.values[0, -1] == end
    given = deletion(total, PICTURE, ORDER, points=3, removed=torch.full_like(PICTURE, -1))
    assert given.values.tolist() == [[10, 1, -4]]


@pytest.mark.parametrize("removed", ["zero", "mean", "blur"])
def test_frames_of_bytes_stay_bytes(removed):
    frames = (255 * torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))).byte()
    values = removed_values(frames, removed)
    assert values.dtype == torch.uint8
    expected = removed_values(frames.float(), removed).round()
    assert torch.equal(values.float(), expected)


def test_blur_keeps_constants_and_means_and_smooths():
    generator = torch.Generator().manual_seed(0)
    flat = torch.full((2, 3, 20, 24), 0.7)
    torch.testing.assert_close(removed_values(flat, "blur"), flat)
    noise = torch.rand(2, 3, 40, 40, generator=generator)
    blurred = removed_values(noise, "blur", sigma=3.0)
    assert blurred.std() < noise.std() / 4
    point = torch.zeros(1, 1, 21, 21)
    point[0, 0, 10, 10] = 1
    bell = removed_values(point, "blur", sigma=2.0)[0, 0]
    torch.testing.assert_close(bell.sum(), torch.tensor(1.0))
    torch.testing.assert_close(bell[10, 12] / bell[10, 10], torch.tensor(-0.5).exp())


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_batches_over_samples_and_steps_change_nothing(batch_size):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(5, 2, 4, 3, generator=generator)
    attention = torch.rand(5, 4, 3, generator=generator)
    largest = 0

    def score(pictures, rows):
        nonlocal largest
        largest = max(largest, len(pictures))
        return pictures.square().sum(dim=(1, 2, 3)) + rows  # needs to know the sample

    found = deletion(score, images, attention, points=6, batch_size=batch_size)
    assert largest <= batch_size
    for b in range(5):
        pixels = images[b].flatten(1)[:, attention[b].flatten().argsort(descending=True)]
        for p, share in enumerate(np.linspace(0, 1, 6)):
            left = pixels[:, round(share * 12) :].square().sum() + b
            torch.testing.assert_close(found.values[b, p], left)


def test_the_probability_follows_each_samples_label():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    images, labels = torch.rand(3, 1, 3, 4), torch.tensor([3, 0, 2])
    curve = insertion(probability_of(model, labels), images, images[:, 0], points=4)
    expected = model(images).softmax(1)[torch.arange(3), labels]
    torch.testing.assert_close(curve.values[:, -1], expected.detach())
    assert not curve.values.requires_grad and curve.areas.shape == (3,)


def test_ties_are_broken_in_reading_order_or_as_they_are_told_to():
    attention = torch.tensor([[[0.5, 0.9], [0.9, 0.5]]])
    assert pixel_ranks(attention).tolist() == [[[2, 0], [1, 3]]]
    ties = torch.tensor([[[0.1, 0.2], [0.3, 0.4]]])
    assert pixel_ranks(attention, ties).tolist() == [[[3, 1], [0, 2]]]


def test_a_dead_map_removes_pixels_from_all_over_the_picture():
    rows = torch.arange(32.0)[:, None].expand(32, 32)
    upper = (rows < 16).float()[None, None]  # a score that sees the upper half alone
    curve = deletion(total, upper, torch.zeros(1, 32, 32), points=5)
    shares = curve.values / curve.values[0, 0]
    torch.testing.assert_close(shares, torch.linspace(1, 0, 5)[None], atol=0.08, rtol=0)


@pytest.mark.parametrize(
    ("run", "word"),
    [
        (lambda: deletion(total, PICTURE, torch.rand(1, 3, 2)), r"\(1, 3, 2\)"),
        (lambda: deletion(total, PICTURE, ORDER, points=1), "points is 1"),
        (lambda: deletion(total, PICTURE, ORDER, removed="noise"), "choose zero, blur or mean"),
    ],
)
def test_bad_input_is_refused(run, word):
    with pytest.raises(ValueError, match=word):
        run()
