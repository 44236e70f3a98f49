import pytest
import torch

from rl_attn.attention import RandomMasks, probability_of, rise, score_masks, weighted_mean
from rl_attn.attention.random_masks import BLOCK


def random_masks(*args, **options):
    """All of them at once, (N, H, W)."""
    return torch.cat(list(RandomMasks(*args, **options)))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def total(pictures, rows):
    """A score that is linear in the picture."""
    return pictures.sum(dim=(1, 2, 3))


def corner(pictures, rows):
    return 1 + pictures[:, 0, 0, 0]


# ---------------------------------------------------------------------- masks


def test_pixel_masks_are_binary_with_the_right_share():
    masks = random_masks(400, (6, 8), None, 0.3, generator=generator())
    assert masks.shape == (400, 6, 8)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert masks.mean().item() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("size", [(13, 29), (7, 7), (24, 32)])
def test_cell_masks_are_smooth_with_the_right_share(size):
    masks = random_masks(400, size, (4, 5), 0.4, generator=generator())
    assert masks.shape == (400, *size)
    assert masks.amin() >= 0 and masks.amax() <= 1
    assert masks.mean().item() == pytest.approx(0.4, abs=0.03)
    steps = (masks[:, 1:] - masks[:, :-1]).abs().amax()
    assert steps <= 1 / -(-size[0] // 4) + 1e-6  # a cell is crossed in at least so many pixels


def test_cell_masks_are_cut_at_every_offset():
    masks = random_masks(200, (8, 8), (1, 1), 0.5, generator=generator())
    peaks = {tuple(m.flatten().tolist()) for m in masks}
    assert len(peaks) > 60  # 14 mixed patterns of 2 x 2 cells at 64 offsets


def test_the_generator_decides():
    assert torch.equal(
        random_masks(5, (9, 9), generator=generator()),
        random_masks(5, (9, 9), generator=generator()),
    )


# ---------------------------------------------------------------------- RISE


def loop(score_of, pictures, masks, keep):
    """Eq. 6 of the paper, one picture and one mask at a time."""
    maps = torch.zeros(len(pictures), *pictures.shape[2:])
    for b in range(len(pictures)):
        for mask in masks:
            maps[b] += score_of((pictures[b] * mask)[None], torch.tensor([b]))[0].detach() * mask
    return maps / (len(masks) * keep)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_it_is_a_loop_over_pictures_and_masks(net, pictures, labels, chunk, untouched):
    score_of = probability_of(net, labels)
    ours = rise(
        score_of,
        pictures,
        masks=11,
        cells=(3, 3),
        keep=0.6,
        generator=generator(),
        chunk=chunk,
        normalization="none",
    )
    masks = random_masks(11, (12, 10), (3, 3), 0.6, generator=generator())
    torch.testing.assert_close(ours, loop(score_of, pictures, masks, 0.6), rtol=1e-4, atol=1e-6)
    assert not ours.requires_grad and untouched(net)


def test_of_a_linear_score_it_finds_the_bright_pixel():
    pictures = torch.zeros(2, 1, 6, 6)
    pictures[0, 0, 1, 2], pictures[1, 0, 4, 4] = 1, 1
    maps = rise(total, pictures, masks=300, cells=None, generator=generator())
    assert maps.flatten(1).argmax(1).tolist() == [8, 28]
    assert maps.amin() == 0 and maps.amax() == 1
    raw = rise(total, pictures, masks=4000, cells=None, generator=generator(), normalization="none")
    # E[f M] / p: 1 at the pixel, where f = M; p elsewhere, where f and M are independent.
    assert raw[0, 1, 2].item() == pytest.approx(1, abs=0.05)
    assert raw[0, 5, 5].item() == pytest.approx(0.5, abs=0.05)


# ---------------------------------------------------------------------- VAPL's prompt


def test_vapls_equation_1_by_a_loop(net, pictures, labels):
    prompt = torch.randint(-1, 2, (5, 12, 10), generator=generator(3))
    score_of = probability_of(net, labels)
    ours = rise(
        score_of,
        pictures,
        masks=9,
        cells=None,
        prompt=prompt,
        generator=generator(),
        normalization="none",
    )
    masks = random_masks(9, (12, 10), None, 0.5, generator=generator())
    for b in range(5):
        own = torch.stack([torch.where(prompt[b] == -1, m, prompt[b].float()) for m in masks])
        scores = score_of(pictures[b] * own[:, None], torch.full((9,), b)).detach()
        expected = (scores[:, None, None] * own).sum(0) / (9 * 0.5)
        torch.testing.assert_close(ours[b], expected, rtol=1e-4, atol=1e-6)


def test_precluded_pixels_are_zero_and_indispensable_ones_get_every_score():
    prompt = torch.full((1, 4, 4), -1)
    prompt[0, 0, 0], prompt[0, 3, 3] = 0, 1
    maps = rise(
        total, torch.ones(1, 1, 4, 4), masks=50, cells=None, prompt=prompt, generator=generator()
    )
    assert maps[0, 0, 0] == 0 and maps[0, 3, 3] == 1


def test_a_learned_weight_gets_its_gradient(net, pictures, labels):
    slope = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    score_of = probability_of(net.double(), labels)

    def refined(slope):
        return rise(
            score_of,
            pictures.double(),
            masks=5,
            cells=(2, 2),
            weigh=lambda scores: scores**slope,
            generator=generator(),
        )

    assert refined(slope).requires_grad
    assert torch.autograd.gradcheck(refined, slope)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_prompt_of_another_size_is_refused(pictures):
    with pytest.raises(ValueError, match=r"\(5, 6, 5\)"):
        rise(total, pictures, masks=2, prompt=torch.zeros(5, 6, 5))


# ---------------------------------------------------------------------- many masks


def test_masks_are_the_same_on_each_pass_and_blocks_differ():
    masks = RandomMasks(2 * BLOCK + 3, (6, 5), (2, 2), generator=generator())
    assert [len(block) for block in masks] == [BLOCK, BLOCK, 3]
    assert torch.equal(torch.cat(list(masks)), torch.cat(list(masks)))
    first, second, _ = masks
    assert not torch.equal(first, second)


@pytest.mark.parametrize("keep", [0.1, 0.5])
def test_balanced_masks_keep_each_pixel_equally_often_and_are_independent_otherwise(keep):
    masks = random_masks(BLOCK * 30, (4, 5), None, keep, balanced=True, generator=generator())
    counts = masks.view(30, BLOCK, 20).sum(1)  # (blocks, pixels)
    assert counts.min() >= int(keep * BLOCK) and counts.max() <= -int(-keep * BLOCK // 1)
    correlations = torch.corrcoef(masks.flatten(1).T) - torch.eye(20)
    assert correlations.abs().max() < 0.1  # of pixels, over 1,920 masks


def test_balanced_masks_estimate_the_same_map_with_less_noise():
    """A score of one pixel's brightness: of the others A is p, whatever the masks."""
    pictures = torch.ones(1, 1, 4, 4)

    def maps(balanced):
        options = {"masks": 128, "cells": None, "keep": 0.1, "normalization": "none"}
        made = [
            rise(
                lambda x, _: x[:, 0, 0, 0] + 1, pictures, balanced=balanced, generator=g, **options
            )
            for g in map(generator, range(20))
        ]
        return torch.cat(made)

    plain, balanced = maps(False), maps(True)
    torch.testing.assert_close(balanced.mean(0)[0, 0].item(), 2.0, atol=0.1, rtol=0)
    torch.testing.assert_close(balanced.mean(0)[1:].mean().item(), 1.1, atol=0.02, rtol=0)
    assert balanced.std(0).mean() < 0.5 * plain.std(0).mean()


def test_enough_masks_are_enough(net, pictures, labels):
    """It stops where the standard error is reached, each picture by itself, on the same map."""
    score_of = probability_of(net, labels)
    prompt = torch.full((5, 12, 10), -1)
    prompt[:, :3], prompt[1, 3:] = 1, 0  # nothing is undecided in the second picture
    masks = RandomMasks(3000, (12, 10), (3, 3), 0.5, balanced=True, generator=generator())
    everything = score_masks(score_of, pictures, masks, prompt, chunk=1000)
    some = score_masks(score_of, pictures, masks, prompt, chunk=1000, tolerance=0.005)
    assert (everything.used == 3000).all()
    assert some.used[1] == 4 * BLOCK and (some.used < 1000).all() and len(set(some.used)) > 1
    for row, used in enumerate(some.used.tolist()):
        torch.testing.assert_close(some.values[:used, row], everything.values[:used, row])
        assert (some.values[used:, row] == 0).all()
    difference = weighted_mean(some, masks, prompt) - weighted_mean(everything, masks, prompt)
    assert difference.abs().mean() < 0.02


def test_the_standard_error_is_that_of_repeated_estimates():
    pictures, sizes = torch.rand(1, 1, 5, 5, generator=generator()), []
    options = {"cells": None, "keep": 0.3, "normalization": "none"}
    for masks in (256, 1024):
        maps = torch.cat(
            [
                rise(total, pictures, masks=masks, generator=generator(s), **options)
                for s in range(40)
            ]
        )
        sizes.append(maps.std(0).square().mean().sqrt().item())
    masks = RandomMasks(10_000, (5, 5), None, 0.3, generator=generator())
    between = sum(sizes) / 2
    used = score_masks(total, pictures, masks, tolerance=between).used.item()
    assert 256 < used < 1024
