"""DecoyMNIST: corners as the released code draws them, shades by hand, masks that fit."""

import numpy as np
import pytest
import torch

from rl_attn.supervised.data import load
from rl_attn.supervised.data.decoy_mnist import draw_corners, patch_masks, shade
from rl_attn.supervised.data.grey import grey_pictures

PATCH = {"rrr": 4, "cdep": 5, "learning-to-look": 5}


def published_corners(variant: str, counts: tuple[int, int]) -> list[list[list[int]]]:
    """Drawn one by one, in the order of each paper's script."""
    numpy = np.random.RandomState(0)
    parts = []
    for n in counts:
        if variant == "rrr":
            part = [[0 if numpy.rand() < 0.5 else 24 for _ in range(2)] for _ in range(n)]
        elif variant == "cdep":
            rows = numpy.choice(2, size=n) * 23
            columns = numpy.choice(2, size=n) * 23
            part = [[int(a), int(b)] for a, b in zip(rows, columns, strict=True)]
        else:
            part = [[int(numpy.choice([0, 23])) for _ in range(2)] for _ in range(n)]
        parts.append(part)
    return parts


@pytest.mark.parametrize("variant", list(PATCH))
def test_corners_are_those_of_the_released_code(variant):
    stream = np.random.RandomState(0)
    ours = [draw_corners(stream, n, PATCH[variant], variant).tolist() for n in (50, 20)]
    assert ours == published_corners(variant, (50, 20))


def test_learning_to_look_reads_grey_pictures_as_rgb():
    assert load("decoy-mnist", variant="cdep").channels == 1
    data = load("decoy-mnist", variant="learning-to-look")
    assert data.channels == len(data.mean) == len(data.std) == 3
    assert data.splits["test"].images.shape[1] == 1  # repeated on their way into the network


@pytest.mark.parametrize("variant", list(PATCH))
def test_pictures_are_digits_with_one_patch(variant):
    data = load("decoy-mnist", variant=variant)
    source, side = grey_pictures("digits", None), PATCH[variant]
    corners = published_corners(variant, (len(source.labels), len(source.test_labels)))[1]
    test = data.splits["test"]
    for i in (0, 7, 359):
        row, column = corners[i]
        expected = source.test_images[i].clone()
        patch = test.images[i, 0, row : row + side, column : column + side]
        if variant == "rrr":
            assert (255 - int(patch[0, 0])) % 25 == 0
        else:
            assert patch[0, 0] == 25 * test.labels[i]
        expected[row : row + side, column : column + side] = patch[0, 0]
        assert torch.equal(test.images[i, 0], expected)


def test_shades_by_hand():
    labels, drawn = torch.tensor([0, 5, 9]), np.random.default_rng(0)
    assert shade(labels, "training", drawn).tolist() == [255, 130, 30]
    assert shade(labels, "25y", drawn).tolist() == [0, 125, 225]
    random = shade(torch.zeros(1000, dtype=torch.int64), "random", drawn)
    assert sorted(set(random.tolist())) == [30, 55, 80, 105, 130, 155, 180, 205, 230, 255]


def corner_shades(split) -> torch.Tensor:
    """The shade of each patch; digits leave the corners black."""
    corners = [split.images[:, 0, i, j] for i in (0, 27) for j in (0, 27)]
    return torch.stack(corners).amax(0)


def test_what_each_split_does():
    splits = load("decoy-mnist", variant="cdep").splits
    for name in ("train", "validation"):
        assert torch.equal(corner_shades(splits[name]), (255 - 25 * splits[name].labels).byte())
    for name in ("test", "validation-shifted"):
        assert torch.equal(corner_shades(splits[name]), (25 * splits[name].labels).byte())
    unbiased = splits["validation-unbiased"]
    same = corner_shades(unbiased) == (255 - 25 * unbiased.labels).byte()
    assert 0.02 < same.float().mean() < 0.22
    random = load("decoy-mnist", variant="cdep", test_shade="random").splits["test"]
    assert corner_shades(random).min() >= 30
    assert torch.equal(random.images[:, 0, 5:23, 5:23], splits["test"].images[:, 0, 5:23, 5:23])


def test_patch_masks_by_hand():
    masks = patch_masks(torch.tensor([[0, 23], [24, 0]]), 5)
    assert masks[0].nonzero().aminmax(dim=0).min.tolist() == [0, 23]
    assert masks[0].nonzero().aminmax(dim=0).max.tolist() == [4, 27]
    assert masks.sum((1, 2)).tolist() == [25, 20]  # the second is cut off by the border


def test_masks_mark_digit_or_all_but_the_patch():
    digit, rest, corners = (
        load("decoy-mnist", mask=m) for m in ("object", "not-patch", "not-corners")
    )
    images = digit.splits["train"].images[:, 0]
    assert not (digit.splits["train"].masks == 255)[:, :4].any()
    off = rest.splits["train"].masks == 0
    assert (off.sum((1, 2)) == 25).all()
    shades = images.masked_fill(~off, 0).flatten(1).amax(1)
    assert torch.equal(shades, (255 - 25 * digit.splits["train"].labels).byte())
    assert ((corners.splits["train"].masks == 0).sum((1, 2)) == 100).all()
    assert not (corners.splits["train"].masks[off] == 255).any()
    assert len({digit.mask_meaning, rest.mask_meaning, corners.mask_meaning}) == 3


def test_inputs_scaled_as_published():
    assert load("decoy-mnist", variant="rrr").std == (1 / 255,)  # raw 0..255
    assert load("decoy-mnist", variant="cdep").mean == (0.5,)
