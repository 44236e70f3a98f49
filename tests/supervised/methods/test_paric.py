"""PARIC's adapter and what becomes of the maps."""

import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.blind_spot import BlindSpotAdapter, fitted_adapter
from rl_attn.supervised.methods.paric import Paric


def squares(number: int, noise: float) -> torch.Tensor:
    """uint8 (number, 16, 16): a square, and single cells that contradict it."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(number, 16, 16)
    places = torch.randint(1, 7, (number, 2), generator=generator)
    for i, (row, column) in enumerate(places.tolist()):
        masks[i, row : row + 8, column : column + 8] = 255
    wrong = torch.rand(masks.shape, generator=generator) < noise
    return torch.where(wrong, 255 - masks, masks).byte()


def test_cell_does_not_see_itself():
    torch.manual_seed(0)
    adapter, maps = BlindSpotAdapter(), torch.rand(1, 9, 9)
    changed = maps.clone()
    changed[0, 4, 4] = 1 - maps[0, 4, 4]
    for before, after in zip(adapter(maps), adapter(changed), strict=True):
        same = (before - after).abs()[0] < 1e-7
        assert same[4, 4] and not same[3, 4]


def test_deviation_is_how_far_cells_are_from_what_surrounds_them():
    generator = torch.Generator().manual_seed(0)
    clean, torn = squares(64, 0.0), squares(64, 0.1)
    sure, unsure = (fitted_adapter(maps, 100, generator) for maps in (clean, torn))
    inside = sure(clean[:1].float() / 255)[1].mean()
    assert inside < 0.15
    # A cell is turned over with probability 0.1: a deviation of sqrt(0.1 * 0.9) = 0.3.
    assert unsure(torn.float() / 255)[1].median().item() == pytest.approx(0.3, abs=0.1)


def test_median_of_samples_mends_cells_that_contradict_their_surroundings():
    clean, torn = squares(64, 0.0), squares(64, 0.02)
    mended = Paric(samples=9, adapter_steps=100).annotations(torn, seed=3)

    def wrong(maps: torch.Tensor) -> float:
        return ((maps > 127) != (clean > 127)).float().mean().item()

    assert mended.dtype == torch.uint8 and mended.shape == torn.shape
    assert wrong(mended) < 0.7 * wrong(torn)


def test_same_seed_same_references_and_no_map_stays_none():
    masks = squares(8, 0.02)
    masks[2] = 0
    method = Paric(samples=3, adapter_steps=5)
    first, second = method.annotations(masks, 1), method.annotations(masks, 1)
    assert torch.equal(first, second)
    assert not torch.equal(first, method.annotations(masks, 2))
    assert not first[2].any() and first[3].amax() == 255


def test_suppresses_gradients_off_the_reference(trained):
    reports = [trained("paric", weight=w, epochs=6, adapter_steps=20) for w in (0.0, 1e4)]
    shares = [r["attention/loss"] / r["losses/cross_entropy"] for r in reports]
    assert shares[1] < 0.5 * shares[0]


def test_samples_must_be_positive():
    with pytest.raises(UserError, match="--samples must be 1 or more, got 0"):
        Paric(samples=0).check(None)
