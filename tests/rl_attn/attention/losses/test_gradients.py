"""Losses on input gradients and on decomposition scores: RRR, GALS, PARIC, RBR, CDEP."""

import math

import pytest
import torch
from torch import nn

from rl_attn.attention.decomposition import contextual_decomposition
from rl_attn.attention.inputs import input_gradient
from rl_attn.attention.losses import (
    cdep,
    gals_gradient,
    paric_reference,
    rbr,
    rbr_influence,
    rrr,
    rrr_colour,
    rrr_score,
)

GRADIENT = torch.tensor([[[[1.0, -2.0], [3.0, 0.5]], [[0.0, 4.0], [-1.0, 2.0]]]])  # (1, 2, 2, 2)
MASK = torch.tensor([[[1.0, 0.0], [0.5, 1.0]]])


def close(found, *expected):
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_rrr_by_hand():
    # Outside weighs 0, 1, 1/2, 0: (-2)^2 + (3/2)^2 + 4^2 + (1/2)^2.
    close(rrr(GRADIENT, MASK), 4 + 2.25 + 16 + 0.25)


def test_rrr_of_a_linear_classifier_by_hand():
    # d sum_c log p_c / dx = sum_c w_c - classes * sum_k p_k w_k = w_1 - 2 * 3/4 * w_1.
    picture = torch.tensor([[[[math.log(3), 0.0]]]], requires_grad=True)
    logits = torch.stack([picture[:, 0, 0] @ torch.tensor([1.0, 2.0]), torch.zeros(1)], 1)
    gradient = input_gradient(rrr_score(logits), picture)
    torch.testing.assert_close(gradient, torch.tensor([[[[-0.5, -1.0]]]]))
    close(rrr(gradient, torch.tensor([[[1.0, 0.0]]])), 1.0)


def test_rrr_of_a_map_is_rrr_g():
    attention = torch.tensor([[[1.0, 0.5], [0.25, 0.0]]])
    close(rrr(attention, MASK), 0.25 + 0.125**2)


def test_rrr_on_colour_by_hand():
    # Less the channels' means 1/2, 1, 1, 5/4, each pixel has +-d: d = 1/2, 3, 2, 3/4.
    close(rrr_colour(GRADIENT), 2 * (0.25 + 9 + 4 + 0.5625))


def test_rrr_on_colour_leaves_brightness_free():
    grey = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    torch.testing.assert_close(rrr_colour(grey), torch.zeros(2))
    colour = torch.tensor([1.0, 2.0, -3.0]).view(1, 3, 1, 1)  # sums to zero: all of it counts
    torch.testing.assert_close(rrr_colour(grey + colour), torch.full((2,), 12 * 14.0))


def test_gals_on_gradients_by_hand():
    close(gals_gradient(GRADIENT, MASK), (2 + 1.5 + 4 + 0.5) / 8)
    # |A (g - 1)|: 0, 0, 1, 1/2 and 1, 0, 1, 1.
    close(gals_gradient(GRADIENT, MASK, "inside"), (1 + 0.5 + 1 + 1 + 1) / 8)


def test_gals_drops_pictures_without_a_mask():
    both = gals_gradient(GRADIENT.repeat(2, 1, 1, 1), torch.cat([MASK, 0 * MASK]))
    close(both, 1.0, 0.0)


def test_paric_reference_by_hand():
    samples = torch.tensor([[[[0.0, 2.0]], [[1.0, 4.0]], [[5.0, 9.0]]]])  # three maps of two cells
    close(paric_reference(samples, "median")[0, 0], 0.0, 1.0)
    samples = torch.tensor([[[[0.0, 2.0, 1.0]], [[1.0, 3.0, 2.0]], [[2.0, 13.0, 9.0]]]])
    close(paric_reference(samples, "mean")[0, 0], 0.0, 1.0, 3 / 5)  # 1, 6, 4
    close(paric_reference(samples, "median")[0, 0], 0.0, 1.0, 0.5)  # 1, 3, 2
    close(paric_reference(samples[:, :2], "median")[0, 0], 0.0, 1.0, 0.5)  # 0.5, 2.5, 1.5


def test_influence_by_hand():
    # Loss (t x)^2 / 2: d/dt_j sums to (t x)(x_1 + x_2), and by x_i that is t_i * 4 + 5.
    parameter = torch.tensor([1.0, 2.0], requires_grad=True)
    picture = torch.tensor([[[[3.0, 1.0]]]], requires_grad=True)
    loss = (picture.flatten(1) @ parameter).square() / 2
    influence = rbr_influence(loss, [parameter, torch.ones(3, requires_grad=True)], picture)
    torch.testing.assert_close(influence, torch.tensor([[[[9.0, 13.0]]]]))
    gradient = torch.tensor([[[[2.0, -1.0]]]])
    close(rbr(influence, gradient, torch.tensor([[[0.0, 1.0]]])), (9.0 * 2) ** 2)
    close(rbr(influence, gradient, torch.tensor([[[0.5, 0.0]]])), 9.0**2 + 13.0**2)


def test_influence_of_a_batch_is_each_samples_own():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    pictures = torch.randn(4, 1, 3, 4, dtype=torch.double, requires_grad=True)
    labels = torch.tensor([0, 2, 1, 1])

    def influence(rows):
        losses = nn.functional.cross_entropy(model(pictures[rows]), labels[rows], reduction="none")
        return rbr_influence(losses, model.parameters(), pictures)[rows]

    singly = torch.cat([influence(slice(b, b + 1)) for b in range(4)])
    torch.testing.assert_close(influence(slice(None)), singly)


def test_cdep_by_hand():
    relevant, irrelevant = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2)
    close(cdep(relevant, irrelevant), (0.5 + 0.75) / 2)


def test_cdep_is_a_softmax_over_the_two_scores():
    relevant, irrelevant = torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(0))
    both = torch.stack([relevant, irrelevant]).softmax(0)[0]
    torch.testing.assert_close(cdep(relevant, irrelevant), both.mean(1))


def test_cdep_trains_away_what_a_decomposition_finds():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    pictures, forbidden = torch.rand(4, 1, 4, 4), torch.zeros(4, 4, 4)
    forbidden[:, :2, :2] = 1
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    history = []
    for _ in range(20):
        loss = cdep(*contextual_decomposition(model, pictures, forbidden)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[0] > 0.4 and history[-1] < 0.1


def test_rrr_and_gals_and_rbr_reach_all_parameters():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2))
    pictures = torch.randn(2, 1, 4, 4, requires_grad=True)
    mask = torch.zeros(2, 4, 4)
    logits = model(pictures)
    losses = nn.functional.cross_entropy(logits, torch.tensor([0, 1]), reduction="none")
    gradient = input_gradient(rrr_score(logits), pictures)
    influence = rbr_influence(losses, model.parameters(), pictures)
    mask[:, 0] = 1
    for loss in (
        rrr(gradient, mask),
        gals_gradient(input_gradient(losses, pictures), mask),
        rbr(influence, gradient, mask),
    ):
        assert loss.shape == (2,)
        parameters = [model[0].weight, model[3].weight]
        gradients = torch.autograd.grad(loss.sum(), parameters, retain_graph=True)
        assert all(g.abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize(
    ("loss", "word"),
    [
        (lambda: gals_gradient(GRADIENT, MASK, "in"), "choose outside or inside"),
        (lambda: paric_reference(GRADIENT, "max"), "choose mean or median"),
        (lambda: paric_reference(MASK), r"\(1, 2, 2\)"),
        (lambda: rbr(GRADIENT, GRADIENT[:, :1], MASK), r"\(1, 1, 2, 2\)"),
        (lambda: cdep(torch.ones(2, 3), torch.ones(2, 4)), r"\(2, 4\)"),
        (lambda: rrr(GRADIENT[0], MASK), r"\(2, 2, 2\)"),
        (lambda: rrr_colour(GRADIENT[0]), r"\(2, 2, 2\)"),
        (lambda: rrr_colour(GRADIENT[:, :1]), r"\(1, 1, 2, 2\)"),
    ],
)
def test_bad_input_is_refused(loss, word):
    with pytest.raises(ValueError, match=word):
        loss()
