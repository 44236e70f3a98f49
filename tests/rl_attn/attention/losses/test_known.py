"""An annotation has three answers: what nobody said anything about counts neither way."""

import pytest
import torch

from rl_attn.attention import (
    Attention,
    gradia,
    haics,
    hint,
    mask_weights,
    measure,
    res_g,
    signed_labels,
)


@pytest.fixture
def case():
    """Attention (2, 4, 4) and masks; of the first image only the upper half is known."""
    torch.manual_seed(0)
    attention, mask = torch.rand(2, 4, 4), torch.zeros(2, 4, 4)
    mask[:, 0, :2] = 1
    known = torch.ones(2, 4, 4, dtype=torch.bool)
    known[0, 2:] = False
    return attention, mask, known


@pytest.mark.parametrize("loss", [gradia, hint])
def test_means_are_over_what_is_known(case, loss):
    attention, mask, known = case
    found = loss(attention, mask, known)
    torch.testing.assert_close(found[:1], loss(attention[:1, :2], mask[:1, :2]))
    torch.testing.assert_close(found[1:], loss(attention[1:], mask[1:]))


def test_labels_say_nothing_of_what_is_unknown(case):
    attention, mask, known = case
    labels = signed_labels(mask, known)
    assert labels.unique().tolist() == [-1, 0, 1]
    assert (labels[0, 2:] == 0).all() and (labels[1] != 0).all()
    torch.testing.assert_close(
        haics(attention, labels)[:1], haics(attention[:1, :2], signed_labels(mask[:1, :2]))
    )


def test_an_image_of_which_nothing_is_known_costs_nothing(case):
    attention, mask, _ = case
    nothing = torch.zeros(2, 4, 4, dtype=torch.bool)
    labels = signed_labels(mask, nothing)
    for found in (
        gradia(attention, mask, nothing),
        hint(attention, mask, nothing),
        haics(attention, labels),
        res_g(attention, labels),
    ):
        assert (found == 0).all()
    weights = mask_weights(mask, (4, 4), known=nothing)
    assert not weights.present.any() and not weights.inside.any() and not weights.outside.any()


def test_alpha_and_beta_are_means_over_known_pixels(case):
    attention, mask, known = case
    weights = mask_weights(mask, (4, 4), known=known)
    seen = attention[0, :2]
    off = seen[mask[0, :2] == 0]
    torch.testing.assert_close((attention * weights.inside)[0].sum(), seen[0, :2].mean())
    torch.testing.assert_close((attention * weights.outside)[0].sum(), off.mean())


def test_weights_where_all_is_known_are_those_without_it(case):
    _, mask, _ = case
    everything = torch.ones(2, 4, 4, dtype=torch.bool)
    for grid in ((4, 4), (2, 2)):
        for with_it, without in zip(
            mask_weights(mask, grid, known=everything), mask_weights(mask, grid), strict=True
        ):
            torch.testing.assert_close(with_it, without)


def test_measures_do_not_see_attention_on_unknown_pixels():
    maps = torch.zeros(1, 4, 4)
    maps[0, 0, 0], maps[0, 3, 3] = 0.9, 1.0  # on the mask, and where nobody said anything
    mask = torch.zeros(1, 4, 4)
    mask[0, 0, 0] = 1
    known = torch.ones(1, 4, 4, dtype=torch.bool)
    known[0, 3, 3] = False
    attention = Attention(maps, (0.0, 1.0))
    told, guessed = measure(attention, mask, known), measure(attention, mask)
    assert (told["iou"].item(), guessed["iou"].item()) == (1.0, 0.5)
    assert (told["pointing_game"].item(), guessed["pointing_game"].item()) == (1.0, 0.0)
    assert told["energy_inside"].item() == 1.0
    assert told["beta"].item() == 0.0 < guessed["beta"].item()
