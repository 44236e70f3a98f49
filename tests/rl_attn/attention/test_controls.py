import pytest
import torch

from rl_attn.attention import camal
from rl_attn.attention.controls import (
    noisy_control,
    random_control,
    shifted_control,
    swapped_control,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def masks(number=6, size=(12, 16)):
    mask = torch.zeros(number, *size)
    for b in range(number):
        mask[b, b : b + 3, b : b + 5] = 1
    return mask


CONTROLS = {
    "random": random_control,
    "blobs": lambda m, g: random_control(m, g, blob=2),
    "shifted": shifted_control,
    "swapped": swapped_control,
}


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_come_from_the_generator_alone(name):
    mask, control = masks(), CONTROLS[name]
    torch.manual_seed(0)
    first = control(mask, rng(1))
    torch.manual_seed(1)
    assert torch.equal(first, control(mask, rng(1)))
    assert not torch.equal(first, control(mask, rng(2)))
    assert first.shape == mask.shape and first.dtype == mask.dtype


@pytest.mark.parametrize("name", ["random", "blobs", "shifted"])
@pytest.mark.parametrize("kind", ["binary", "soft", "bytes", "empty", "full"])
def test_areas_are_kept_exactly(name, kind):
    mask = {
        "binary": masks(),
        "soft": torch.rand(6, 12, 16, generator=rng()),
        "bytes": (255 * masks()).byte(),
        "empty": torch.zeros(6, 12, 16),
        "full": torch.ones(6, 12, 16),
    }[kind]
    control = CONTROLS[name](mask, rng(3))
    assert torch.equal(control.flatten(1).sort(1)[0], mask.flatten(1).sort(1)[0])


def test_random_pixels_fall_everywhere_alike():
    mask = torch.zeros(4000, 3, 4)
    mask[:, 0, :3] = 1
    share = random_control(mask, rng()).mean(0)
    torch.testing.assert_close(share, torch.full((3, 4), 0.25), rtol=0, atol=0.03)


def test_blobs_are_patches():
    mask = torch.zeros(8, 40, 40)
    mask[:, :10, :10] = 1

    def borders(m):
        return (m.diff(dim=1).abs().sum() + m.diff(dim=2).abs().sum()).item()

    assert borders(random_control(mask, rng(), blob=4)) < borders(random_control(mask, rng())) / 2


@pytest.mark.parametrize("blob", [0, 3, 100])
def test_patches_fall_at_the_border_as_often_as_its_area_says(blob):
    mask, border = torch.zeros(1000, 30, 40), torch.ones(30, 40)
    mask[:, :3, :4], border[3:-3, 3:-3] = 1, 0  # 1 % of the picture
    control = random_control(mask, rng(), blob)
    assert control.flatten(1).sum(1).eq(12).all()
    shares = (control * border).sum(dim=(1, 2)) / 12
    error = shares.std().item() / len(shares) ** 0.5
    assert shares.mean().item() == pytest.approx(border.mean().item(), abs=3 * error)


def test_shifts_keep_the_shape_and_move_far_enough():
    mask = masks()
    control = shifted_control(mask, rng(), at_least=0.25)
    for before, after in zip(mask, control, strict=True):
        found = [
            (dy, dx)
            for dy in range(12)
            for dx in range(16)
            if torch.equal(before.roll((dy, dx), (0, 1)), after)
        ]
        assert len(found) == 1
        assert 3 <= found[0][0] <= 9 and 4 <= found[0][1] <= 12


def test_every_mask_goes_to_another_sample():
    mask = torch.arange(7.0)[:, None, None].expand(7, 2, 3)
    for seed in range(20):
        given = swapped_control(mask, rng(seed))[:, 0, 0]
        assert sorted(given.tolist()) == list(range(7))
        assert (given != torch.arange(7.0)).all()


def test_a_flat_mask_is_no_control():
    flat = masks().mean(dim=(1, 2), keepdim=True).expand(6, 12, 16)
    attention = torch.rand(6, 4, 4, generator=rng())
    torch.testing.assert_close(camal(attention, flat), torch.zeros(6), rtol=0, atol=1e-6)


def test_doses_of_noise_by_hand():
    mask = torch.zeros(2, 11, 11)
    mask[:, 3:8, 3:8] = 1  # the square of `test_deviations`: a shift reaches 5 pixels, an erosion 2
    for dose, moved, left in ((0.0, 25, 25), (0.5, 15, 9), (1.0, 0, 1)):
        shifted = noisy_control(mask, rng(), "shift", dose)
        eroded = noisy_control(mask.byte() * 255, rng(), "erode", dose)
        assert (shifted * mask).sum(dim=(1, 2)).tolist() == [moved, moved]
        assert (eroded == 255).sum(dim=(1, 2)).tolist() == [left, left]
    soft = torch.randint(256, (2, 11, 11), generator=rng(1)).byte()
    for noise in ("shift", "erode"):
        assert torch.equal(noisy_control(soft, rng(), noise, 0.0), soft)


def test_a_share_of_wrong_masks():
    mask = torch.arange(10.0)[:, None, None].expand(10, 2, 3)
    for dose in (0.0, 0.1, 0.4, 1.0):
        given = noisy_control(mask, rng(), "wrong", dose)[:, 0, 0]
        assert sorted(given.tolist()) == list(range(10))
        wrong = (given != torch.arange(10.0)).sum()
        assert wrong == (0 if dose == 0.1 else 10 * dose)  # one alone has nobody to swap with
    with pytest.raises(ValueError, match="0 to 1"):
        noisy_control(mask, rng(), "wrong", 1.5)


def test_one_sample_has_nobody_to_swap_with():
    with pytest.raises(ValueError, match="1 sample cannot be swapped"):
        swapped_control(masks(1), rng())


def test_impossible_shifts_are_refused():
    with pytest.raises(ValueError, match=r"at_least is 0.6"):
        shifted_control(masks(), rng(), at_least=0.6)
