import pytest
import torch

from rl_attn.attention import probability_of, random_masks, rise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def total(pictures, rows):
    """A score that is linear in the picture."""
    return pictures.sum(dim=(1, 2, 3))


# ---------------------------------------------------------------------- masks


def test_pixel_masks_are_binary_with_the_right_share():
    masks = random_masks(400, (6, 8), None, 0.3, generator())
    assert masks.shape == (400, 6, 8)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert masks.mean().item() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("size", [(13, 29), (7, 7), (24, 32)])
def test_cell_masks_are_smooth_with_the_right_share(size):
    masks = random_masks(400, size, (4, 5), 0.4, generator())
    assert masks.shape == (400, *size)
    assert masks.amin() >= 0 and masks.amax() <= 1
    assert masks.mean().item() == pytest.approx(0.4, abs=0.03)
    steps = (masks[:, 1:] - masks[:, :-1]).abs().amax()
    assert steps <= 1 / -(-size[0] // 4) + 1e-6  # a cell is crossed in at least so many pixels


def test_cell_masks_are_cut_at_every_offset():
    masks = random_masks(200, (8, 8), (1, 1), 0.5, generator())
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
    masks = random_masks(11, (12, 10), (3, 3), 0.6, generator())
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
    masks = random_masks(9, (12, 10), None, 0.5, generator())
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
