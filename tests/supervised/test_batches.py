import pytest
import torch

from rl_attn.supervised.batches import Batches, Draws, View, cropped, resized
from rl_attn.supervised.data import Split


def split_of(number: int, size: int) -> Split:
    """Pictures whose values are their coordinates, masks that equal their first channel."""
    images = (
        torch.arange(number * 3 * size * size).remainder(251).view(number, 3, size, size).byte()
    )
    return Split(images, torch.arange(number), images[:, 0])


def test_pictures_and_masks_are_cut_and_mirrored_alike():
    batches = Batches(split_of(6, 9), View((5, 5), 3, torch.zeros(3), torch.ones(3)))
    draws = Draws.of(6, 1, 0)
    batch = batches.take(draws.order, draws.crops[draws.order], draws.flips[draws.order])
    assert batch.pictures.shape == (6, 3, 5, 5)
    torch.testing.assert_close(batch.pictures[:, 0], batch.masks)
    assert torch.equal(batch.labels, draws.order)


def test_a_crop_reaches_every_corner():
    images, masks = split_of(2, 6).images, split_of(2, 6).masks
    first, _ = cropped(images, masks, (4, 4), torch.zeros(2, 2))
    last, last_masks = cropped(images, masks, (4, 4), torch.full((2, 2), 0.999))
    assert torch.equal(first, images[:, :, :4, :4])
    assert torch.equal(last, images[:, :, 2:, 2:]) and torch.equal(last_masks, masks[:, 2:, 2:])
    centre, _ = cropped(images, None, (4, 4), None)
    assert torch.equal(centre, images[:, :, 1:5, 1:5])


def test_normalised_as_torchvision_does():
    from torchvision.transforms.v2.functional import normalize, to_dtype

    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    split = split_of(3, 7)
    expected = normalize(to_dtype(split.images, torch.float32, scale=True), mean, std)
    view = View(None, 3, torch.tensor(mean), torch.tensor(std))
    torch.testing.assert_close(view.pictures(split.images), expected)


def test_grey_pictures_are_repeated_for_networks_that_take_colour():
    view = View(None, 3, torch.tensor([0.5]), torch.tensor([0.5]))
    pictures = view.pictures(torch.full((1, 1, 2, 2), 255).byte())
    torch.testing.assert_close(pictures, torch.ones(1, 3, 2, 2))
    for mean, copied in ((0.5, False), (0.4, True)):  # of the second channel
        view = View(None, 3, torch.tensor([0.5, mean, 0.5]), torch.full((3,), 0.5))
        pictures = view.pictures(torch.full((1, 1, 2, 2), 255).byte())
        assert pictures.shape == (1, 3, 2, 2) and bool(pictures.stride(1)) == copied
        expected = ((1 - view.mean) / view.std)[None, :, None, None].expand_as(pictures)
        torch.testing.assert_close(pictures, expected)


def test_chance_is_a_function_of_seed_and_epoch():
    first, again = Draws.of(20, 3, 4), Draws.of(20, 3, 4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.order, Draws.of(20, 3, 5).order)
    assert not torch.equal(first.order, Draws.of(20, 4, 4).order)
    assert sorted(first.order.tolist()) == list(range(20))


@pytest.mark.parametrize(("size", "crop", "stored"), [(0, "none", 20), (14, "center", 16)])
def test_resized_as_camal_does(toy_set, size, crop, stored):
    """Crops of 224 come from pictures of 256."""
    sized, window = resized(toy_set, size, crop)
    assert sized.size == (stored, stored)
    assert window == (None if crop == "none" else (size, size))
    assert sized.splits["train"].masks.shape[1:] == (stored, stored)


def test_targets_are_the_same_made_once_or_for_each_batch():
    from rl_attn.attention import mask_weights

    split = split_of(5, 8)
    batches = [Batches(split, View(None, 3, torch.zeros(3), torch.ones(3))) for _ in range(2)]
    for some, once in zip(batches, (True, False), strict=True):
        some.give_target(lambda masks, known: mask_weights(masks, (2, 2)), once)
    index = torch.tensor([3, 0])
    for a, b in zip(batches[0].take(index).target, batches[1].take(index).target, strict=True):
        torch.testing.assert_close(a, b)


def test_targets_made_at_once_stand_in_the_masks_place():
    batches = Batches(split_of(4, 6), View(None, 3, torch.zeros(3), torch.ones(3)))
    index = torch.tensor([2, 0])
    masks = batches.take(index).masks
    batches.give_target(lambda masks, known: masks.mean((1, 2)), once=True)
    batch = batches.take(index)
    assert batch.masks is None
    torch.testing.assert_close(batch.target, masks.mean((1, 2)))
    batches.targets = None  # as with augmented pictures, whose masks change from batch to batch
    batch = batches.take(index)
    torch.testing.assert_close(batch.target, batch.masks.mean((1, 2)))
