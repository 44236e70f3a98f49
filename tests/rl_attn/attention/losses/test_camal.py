import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rl_attn.attention import (
    alpha_beta,
    camal,
    camal_loss,
    grad_cam,
    iou,
    mask_weights,
    normalize,
    upsample,
)


def equation_1(attention, mask):
    """alpha and beta as the paper writes them, on the upsampled map."""
    large = F.interpolate(
        attention[:, None], size=mask.shape[1:], mode="bilinear", align_corners=False
    )[:, 0]
    alpha = (large * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2))
    beta = (large * (1 - mask)).sum(dim=(1, 2)) / (1 - mask).sum(dim=(1, 2))
    return alpha, beta


def random_case(size, grid, number=4):
    generator = torch.Generator().manual_seed(sum(size) + sum(grid))
    attention = normalize(torch.rand(number, *grid, generator=generator))
    return attention, (torch.rand(number, *size, generator=generator) > 0.8).float()


# ---------------------------------------------------------------------- alpha and beta


def test_alpha_and_beta_by_hand():
    attention = torch.tensor([[[1.0, 0.5], [0.25, 0.0]]])
    mask = torch.tensor([[[1, 0], [1, 0]]])
    alpha, beta = alpha_beta(attention, mask_weights(mask, (2, 2)))
    assert alpha.tolist() == [0.625]  # (1 + 1/4) / 2
    assert beta.tolist() == [0.25]  # (1/2 + 0) / 2
    assert camal(attention, mask).tolist() == [-0.375]


def test_alpha_and_beta_of_a_coarser_map_by_hand():
    attention = torch.tensor([[[0.0, 1.0]]])  # upsampled to four pixels: 0, 1/4, 3/4, 1
    for mask, alpha, beta in (
        ([0, 0, 1, 1], 7 / 8, 1 / 8),
        ([0, 1, 1, 0], 1 / 2, 1 / 2),
        ([0, 0, 0, 1], 1.0, 1 / 3),
    ):
        weights = mask_weights(torch.tensor([[mask]]), (1, 2))
        found = torch.cat(alpha_beta(attention, weights))
        torch.testing.assert_close(found, torch.tensor([alpha, beta]))


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((120, 160), (11, 16)),
        ((240, 320), (26, 36)),
        ((56, 56), (7, 7)),
        ((17, 31), (5, 3)),
        ((9, 9), (9, 9)),
        ((4, 6), (7, 8)),
        ((6, 6), (1, 1)),
    ],
)
def test_without_upsampling_they_equal_equation_1_on_the_upsampled_map(size, grid):
    attention, mask = random_case(size, grid)
    alpha, beta = alpha_beta(attention, mask_weights(mask, grid))
    expected_alpha, expected_beta = equation_1(attention, mask)
    torch.testing.assert_close(alpha, expected_alpha, rtol=0, atol=1e-5)
    torch.testing.assert_close(beta, expected_beta, rtol=0, atol=1e-5)


def test_the_loss_before_and_after_upsampling_is_the_same():
    attention, mask = random_case((17, 31), (5, 3))
    torch.testing.assert_close(camal(attention, mask), camal(upsample(attention, (17, 31)), mask))


def test_attention_exactly_on_the_mask_scores_minus_one():
    _, mask = random_case((5, 6), (5, 6))
    torch.testing.assert_close(camal(mask, mask), -torch.ones(4))
    torch.testing.assert_close(camal(1 - mask, mask), torch.ones(4))


def test_uniform_attention_and_dead_maps_score_zero():
    _, mask = random_case((17, 31), (5, 3))
    torch.testing.assert_close(camal(torch.ones(4, 5, 3), mask), torch.zeros(4))
    assert torch.equal(camal(torch.zeros(4, 5, 3), mask), torch.zeros(4))


def test_alpha_beta_and_the_loss_stay_in_their_ranges():
    attention, mask = random_case((40, 50), (4, 5), number=32)
    mask[0], mask[1] = 0, 1
    alpha, beta = alpha_beta(attention, mask_weights(mask, (4, 5)))
    for share in (alpha, beta):
        assert share.min() >= 0 and share.max() <= 1 + 1e-6
    assert camal(attention, mask).abs().max() <= 1 + 1e-6


def test_one_pixel_gives_the_attention_at_that_pixel():
    attention, _ = random_case((17, 31), (5, 3), number=1)
    mask = torch.zeros(1, 17, 31)
    mask[0, 4, 20] = 1
    alpha, _ = alpha_beta(attention, mask_weights(mask, (5, 3)))
    torch.testing.assert_close(alpha, upsample(attention, (17, 31))[:, 4, 20])


# ---------------------------------------------------------------------- empty and full masks


def test_an_empty_mask_has_alpha_zero_and_the_mean_as_beta():
    attention = torch.tensor([[[1.0, 0.5], [0.25, 0.25]]])
    alpha, beta = alpha_beta(attention, mask_weights(torch.zeros(1, 2, 2), (2, 2)))
    assert (alpha.item(), beta.item()) == (0.0, 0.5)


def test_a_full_mask_has_the_mean_as_alpha_and_beta_zero():
    attention = torch.tensor([[[1.0, 0.5], [0.25, 0.25]]])
    alpha, beta = alpha_beta(attention, mask_weights(torch.ones(1, 2, 2), (2, 2)))
    assert (alpha.item(), beta.item()) == (0.5, 0.0)


def test_skip_gives_samples_without_a_target_no_loss_and_suppress_gives_them_beta():
    attention = torch.tensor([[[1.0, 0.5], [0.25, 0.25]]]).repeat(2, 1, 1)
    mask = torch.tensor([[[1, 0], [0, 0]], [[0, 0], [0, 0]]])
    seen = -2 / 3  # beta (0.5 + 0.25 + 0.25) / 3 minus alpha 1
    expected = torch.tensor([seen, 0.0])
    torch.testing.assert_close(camal(attention, mask), expected)
    torch.testing.assert_close(camal(attention, mask, empty_mask="skip"), expected)
    suppressed = camal(attention, mask, empty_mask="suppress")
    torch.testing.assert_close(suppressed, torch.tensor([seen, 0.5]))


def test_the_loss_of_known_alpha_and_beta_is_camal():
    attention, mask = random_case((17, 31), (5, 3))
    mask[2] = 0
    weights = mask_weights(mask, (5, 3))
    alpha, beta = alpha_beta(attention, weights)
    for empty_mask in ("skip", "suppress"):
        ours = camal_loss(alpha, beta, weights.present, empty_mask)
        assert torch.equal(ours, camal(attention, mask, empty_mask=empty_mask))


def test_a_skipped_sample_gets_no_gradient_and_a_suppressed_one_does():
    attention = torch.rand(1, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.zeros(1, 2, 2)
    (skip,) = torch.autograd.grad(camal(attention, mask).sum(), attention)
    assert torch.equal(skip, torch.zeros(1, 2, 2))
    loss = camal(attention, mask, empty_mask="suppress").sum()
    (suppress,) = torch.autograd.grad(loss, attention)
    torch.testing.assert_close(suppress, torch.full((1, 2, 2), 0.25))


def test_the_gradient_is_outside_minus_inside():
    attention, mask = random_case((17, 31), (5, 3))
    attention.requires_grad_()
    (gradient,) = torch.autograd.grad(camal(attention, mask).sum(), attention)
    weights = mask_weights(mask, (5, 3))
    torch.testing.assert_close(gradient, weights.outside - weights.inside)


@pytest.mark.parametrize("empty_mask", ["skip", "suppress"])
@pytest.mark.parametrize("fill", [0.0, 1.0])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_degenerate_input_gives_finite_losses_and_gradients(level, fill, empty_mask):
    raw = torch.full((2, 3, 4), level, requires_grad=True)
    loss = camal(normalize(raw), torch.full((2, 12, 16), fill), empty_mask=empty_mask)
    (gradient,) = torch.autograd.grad(loss.sum(), raw)
    assert loss.isfinite().all() and gradient.isfinite().all()


def test_a_batch_is_its_samples():
    attention, mask = random_case((17, 31), (5, 3))
    singly = [camal(attention[b : b + 1], mask[b : b + 1]) for b in range(4)]
    torch.testing.assert_close(camal(attention, mask), torch.cat(singly))


# ---------------------------------------------------------------------- bad input


def test_weights_of_another_grid_are_refused_with_both_shapes():
    weights = mask_weights(torch.ones(2, 12, 16), (3, 4))
    with pytest.raises(ValueError) as error:
        alpha_beta(torch.rand(2, 4, 3), weights)
    assert "(2, 4, 3)" in str(error.value) and "(2, 3, 4)" in str(error.value)


def test_another_number_of_masks_is_refused_with_both_shapes():
    with pytest.raises(ValueError) as error:
        camal(torch.rand(2, 3, 4), torch.ones(3, 12, 16))
    assert "(2, 3, 4)" in str(error.value) and "(3, 3, 4)" in str(error.value)


def test_unknown_empty_mask_rule_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"'drop'.*skip or suppress"):
        camal(torch.rand(1, 2, 2), torch.ones(1, 2, 2), empty_mask="drop")


# ---------------------------------------------------------------------- it moves attention


def noisy_squares(number):
    """Pictures (B, 1, 16, 16) of a faint square in noise, and the squares as masks."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(number, 16, 16)
    for b in range(number):
        row, column = torch.randint(0, 12, (2,), generator=generator).tolist()
        mask[b, row : row + 4, column : column + 4] = 1
    noise = 0.3 * torch.randn(number, 16, 16, generator=generator)
    return (mask + noise)[:, None], mask


def descend(loss, parameters, rate):
    """One step of plain gradient descent."""
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.data -= rate * gradient


def test_gradient_descent_moves_attention_into_the_mask():
    pictures, mask = noisy_squares(16)
    torch.manual_seed(0)
    tap = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
    head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 16 * 16, 16), nn.Tanh(), nn.Linear(16, 1))
    parameters = [*tap.parameters(), *head[:-1].parameters(), head[-1].weight]
    history = []
    for _ in range(40):
        features = tap(pictures)
        attention = grad_cam(head(features)[:, 0], features)
        loss = camal(attention, mask).mean()
        history.append((loss.item(), iou(attention, mask).mean().item()))
        descend(loss, parameters, rate=0.1)
    (first_loss, first_iou), (last_loss, last_iou) = history[0], history[-1]
    assert first_loss > -0.1 and first_iou < 0.1
    assert last_loss < -0.7 and last_iou > 0.6


def test_a_head_alone_can_move_attention_through_the_second_order():
    inside, outside = torch.zeros(2, 4, 4)
    inside[1:3, 1:3], outside[0] = 1, 1
    features = torch.stack([inside, outside])[None].requires_grad_()  # what the head can choose
    weight = torch.tensor([-0.2, 1.0], requires_grad=True)
    for _ in range(20):
        score = (features.mean(dim=(2, 3)) * weight.exp()).sum(1)
        loss = camal(grad_cam(score, features), inside[None]).mean()
        descend(loss, [weight], rate=1.0)
    assert weight[0] > weight[1] + 1  # channel 0, which lies in the mask, has won
    assert loss < -0.9
