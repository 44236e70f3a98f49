import numpy as np
import pytest
import torch
from scipy import ndimage

from rl_attn.attention.morphology import dilate, edge_band, erode

# OpenCV is the peer; on slim machines it lacks system libraries.
cv2 = pytest.importorskip("cv2", exc_type=ImportError)


def random_masks(size, share=0.1, number=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(number, *size, generator=generator) < share).float()


def disk(radius):
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (rows**2 + columns**2 <= radius**2).astype(np.uint8)


SIZES = [(9, 13), (30, 20), (1, 6), (3, 3)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [0, 1, 2, 5])
def test_squares_are_opencvs(size, radius):
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    for share, ours, theirs in ((0.1, dilate, cv2.dilate), (0.8, erode, cv2.erode)):
        mask = random_masks(size, share)
        expected = [theirs(m.numpy(), kernel).reshape(size) for m in mask]
        np.testing.assert_array_equal(ours(mask, radius), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5])
def test_disks_are_scipys(size, radius):
    mask = random_masks(size)
    expected = [ndimage.binary_dilation(m.numpy() > 0, disk(radius)) for m in mask]
    np.testing.assert_array_equal(dilate(mask, radius, "disk"), np.array(expected, np.float32))
    mask = random_masks(size, 0.9)
    expected = [ndimage.binary_erosion(m.numpy() > 0, disk(radius), border_value=1) for m in mask]
    np.testing.assert_array_equal(erode(mask, radius, "disk"), np.array(expected, np.float32))


def test_soft_masks_take_the_largest_value_around():
    mask = torch.tensor([[[0.1, 0.0, 0.0, 0.7, 0.2]]])
    assert torch.equal(dilate(mask, 1), torch.tensor([[[0.1, 0.1, 0.7, 0.7, 0.7]]]))
    assert torch.equal(erode(mask, 1), torch.tensor([[[0.0, 0.0, 0.0, 0.0, 0.2]]]))


@pytest.mark.parametrize("element", ["square", "disk"])
def test_empty_and_full_masks_stay(element):
    for mask in (torch.zeros(1, 6, 7), torch.ones(1, 6, 7)):
        assert torch.equal(dilate(mask, 2, element), mask)
        assert torch.equal(erode(mask, 2, element), mask)


def test_masks_of_any_type():
    mask = random_masks((9, 9))
    assert torch.equal(dilate(mask.bool(), 1), dilate(mask, 1))
    assert torch.equal(erode((255 * mask).byte(), 1), 255 * erode(mask, 1))


# ---------------------------------------------------------------------- edge bands


def test_the_band_of_one_pixel_by_hand():
    mask = torch.zeros(1, 11, 11)
    mask[0, 5, 5] = 1
    band = edge_band(mask, cover=2, edge=1)  # a 5x5 square, widened to 7x7, less its inner 3x3
    expected = torch.zeros(11, 11)
    expected[2:9, 2:9] = 1
    expected[4:7, 4:7] = 0
    assert torch.equal(band[0], expected)
    assert edge_band(mask, cover=2, edge=1, widen=1).sum() == 81 - 1  # 9x9 less the middle


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (lambda: dilate(torch.zeros(3, 3), 1), "radius >= 0"),
        (lambda: dilate(torch.zeros(1, 3, 3), -1), "radius >= 0"),
        (lambda: dilate(torch.zeros(1, 3, 3), 1, "cross"), "choose square or disk"),
    ],
)
def test_bad_input_is_refused(bad, word):
    with pytest.raises(ValueError, match=word):
        bad()
