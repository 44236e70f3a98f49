"""ColorMNIST: the published palettes, hand-computed colours, what the test does."""

import cv2
import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.data import load
from rl_attn.supervised.data.color_mnist import paint, red_to_purple
from rl_attn.supervised.data.grey import grey_pictures

PUBLISHED = [  # red to purple in ten steps, as the colour library of CDEP's code prints them
    (1, 0, 0), (0.94466, 0.52481, 0), (0.79051, 0.88932, 0), (0.27800, 0.83399, 0),
    (0, 0.77865, 0.17303), (0, 0.72331, 0.56258), (0, 0.44532, 0.66797), (0, 0.06807, 0.61264),
    (0.24769, 0, 0.55730), (0.50196, 0, 0.50196),
]  # fmt: skip


def colours(images: torch.Tensor) -> torch.Tensor:
    """(N, 3): the brightest value of each channel over that of all."""
    peak = images.flatten(2).amax(2).float()
    return peak / peak.amax(1, keepdim=True)


def colour_of(label: torch.Tensor) -> torch.Tensor:
    palette = red_to_purple()[label]
    return palette / palette.amax(1, keepdim=True)


def test_palette_is_the_published_one():
    assert (red_to_purple() - torch.tensor(PUBLISHED)).abs().max() < 6e-6


def test_paint_by_hand():
    grey = torch.tensor([[[0, 100, 255]]], dtype=torch.uint8)
    colour = torch.tensor([[1.0, 0.52481, 0.0]])
    cut = paint(grey, colour, round_to_nearest=False)[0, :, 0]
    assert cut.tolist() == [[0, 100, 255], [0, 52, 133], [0, 0, 0]]  # 52.481, 133.83
    assert paint(grey, colour, round_to_nearest=True)[0, 1, 0].tolist() == [0, 52, 134]


def test_training_tells_the_class_and_the_test_lies():
    splits = load("color-mnist").splits
    for name, turn in (("train", False), ("validation", False), ("validation-shifted", True),
                       ("test", True)):  # fmt: skip
        part = splits[name]
        expected = colour_of(9 - part.labels if turn else part.labels)
        assert (colours(part.images) - expected).abs().max() < 0.02, name


def test_unbiased_validation_shows_the_same_pictures_in_other_colours():
    splits = load("color-mnist").splits
    biased, unbiased = splits["validation"], splits["validation-unbiased"]
    assert torch.equal(biased.masks, unbiased.masks) and torch.equal(biased.labels, unbiased.labels)
    same = (colours(unbiased.images) - colour_of(biased.labels)).abs().amax(1) < 0.02
    assert 0.02 < same.float().mean() < 0.2  # one in ten


def test_cdep_divides_and_standardises_as_published():
    data = load("color-mnist", variant="cdep")
    order = torch.utils.data.random_split(
        range(1437), [1293, 144], generator=torch.Generator().manual_seed(0)
    )
    labels = grey_pictures("digits", None).labels
    assert torch.equal(data.splits["train"].labels, labels[order[0].indices])
    assert torch.equal(data.splits["validation"].labels, labels[order[1].indices])
    pixels = torch.cat([data.splits[name].images for name in data.pool]).double() / 255
    assert torch.allclose(pixels.mean((0, 2, 3)), torch.tensor(data.mean).double())
    assert torch.allclose(pixels.std((0, 2, 3)), torch.tensor(data.std).double(), atol=1e-6)


def test_repair_has_noisy_colours_and_the_same_ones_at_test():
    splits = load("color-mnist", variant="repair", seed=3).splits
    for label in range(10):
        train, test = (
            splits[name].images[splits[name].labels == label].flatten(2).amax(2).float().mean(0)
            for name in ("train", "test")
        )
        assert (train - test).abs().max() < 0.08 * 255  # noise of 0.1 over 36 pictures
    assert colours(splits["train"].images[splits["train"].labels == 1]).std(0).max() > 0.03
    grey = splits["test-grey"].images
    assert torch.equal(grey[:, 0], grey[:, 2])


def test_seeds_repeat_and_differ():
    one, again, other = (
        load("color-mnist", variant="repair", seed=s).splits["train"].images for s in (1, 1, 2)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_training_pictures_pass_through_jpeg_and_those_of_the_test_do_not():
    plain, passed = (load("color-mnist", jpeg=jpeg).splits for jpeg in (0, 75))
    for name in ("train", "validation"):
        before, after = plain[name].images[0], passed[name].images[0]
        bgr = before.permute(1, 2, 0).flip(2).numpy()
        _, file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 75])
        by_opencv = torch.from_numpy(cv2.imdecode(file, cv2.IMREAD_COLOR)).flip(2).permute(2, 0, 1)
        assert (after.int() - by_opencv.int()).abs().max() <= 2  # another build of libjpeg
        assert not torch.equal(before, after)
        assert torch.equal(plain[name].masks, passed[name].masks)
    for name in ("test", "validation-shifted", "validation-unbiased"):
        assert torch.equal(plain[name].images, passed[name].images), name
    with pytest.raises(UserError, match="jpeg is 101"):
        load("color-mnist", jpeg=101)
