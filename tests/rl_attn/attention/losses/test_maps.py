"""Losses that compare a map with a mask: values by hand, and what they ask of a map."""

import math

import numpy as np
import pytest
import torch

from rl_attn.attention import alpha_beta, iou, mask_weights
from rl_attn.attention.losses import (
    coverage_gaze,
    entropy,
    gals_attention,
    gradia,
    haics,
    hint,
    kl_alignment,
    signed_labels,
    suppress_only,
)

MAP = torch.tensor([[[1.0, 0.5], [0.25, 0.0]]])
MASK = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])


def close(found, *expected):
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------- by hand


def test_suppress_only_by_hand():
    close(suppress_only(MAP, MASK), 0.25)  # (1/2 + 0) / 2
    close(suppress_only(MAP, MASK, "l2"), 0.125)  # (1/4 + 0) / 2


def test_suppress_only_l1_is_camals_beta_on_a_coarser_map_too():
    mask = (torch.rand(3, 13, 17, generator=torch.Generator().manual_seed(0)) > 0.6).float()
    attention = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(1))
    _, beta = alpha_beta(attention, mask_weights(mask, (4, 5)))
    assert torch.equal(suppress_only(attention, mask), beta)


def test_suppress_only_says_nothing_about_what_is_inside():
    assert suppress_only(MASK, MASK).item() == suppress_only(0 * MASK, MASK).item() == 0


def test_printed_kl_by_hand():
    peak = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    close(kl_alignment(peak, MASK, "printed"), math.log(2))  # 1 ln(1 / (1/2))
    close(kl_alignment(MASK, MASK, "printed"), 0.0)
    wrong = kl_alignment(1 - MASK, MASK, "printed")  # ln((1/2) / 1e-8): the floor
    torch.testing.assert_close(wrong, torch.tensor([math.log(0.5e8)]), rtol=1e-3, atol=0)


def test_released_kl_by_hand():
    e = math.e
    total = e + e**0.5 + e**0.25 + 1  # softmax of 1, 1/2, 1/4, 0
    expected = 0.5 * math.log(0.5 * total / e) + 0.5 * math.log(0.5 * total / e**0.25)
    close(kl_alignment(MAP, MASK), expected)


def test_reverse_kl_by_hand():
    shares = [x / (1 + math.e) for x in (math.e, 1)]  # softmax of 1, 0
    expected = sum(share * math.log(share / 0.5) for share in shares)
    found = kl_alignment(torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1, 2), "reverse")
    close(found, expected)


@pytest.mark.parametrize("on", [1, 30, 31, 99, 100])
def test_the_released_kl_has_its_floor_even_for_the_mask_itself(on):
    mask = torch.zeros(1, 10, 10)
    mask.view(-1)[:on] = 1
    close(kl_alignment(mask, mask), math.log(1 + (100 - on) / (on * math.e)))


def test_released_kl_at_thirty_cells_is_the_measured_062():
    mask = torch.zeros(1, 10, 10)
    mask[:, :3] = 1
    assert kl_alignment(mask, mask).item() == pytest.approx(0.62, abs=0.005)


def test_soft_masks_are_distributions_as_they_are():
    soft = torch.tensor([[[0.75, 0.25], [0.0, 0.0]]])
    close(kl_alignment(soft, 0.4 * soft, "printed"), 0.0)
    halves = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    expected = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    close(kl_alignment(halves, soft, "printed"), expected)


def test_gradia_hint_and_gals_by_hand():
    # Distances to the mask: 0, 1/2, 3/4, 0.
    close(gradia(MAP, MASK), 1.25 / 4)
    close(hint(MAP, MASK), (1 / 4 + 9 / 16) / 4)
    close(gals_attention(MAP, MASK), 1.25 / 4)
    close(gals_attention(MAP, MASK, "outside"), 0.5 / 4)


def test_gradia_reads_labels_as_their_positive_part():
    close(gradia(MAP, signed_labels(MASK)), 1.25 / 4)


def test_haics_by_hand():
    attention = torch.tensor([[[0.75, 0.2], [0.5, 0.9]]])
    labels = torch.tensor([[[1, -1], [0, 0]]])
    found = haics(attention, labels)
    expected = -(math.log(0.75) + math.log(0.8)) / 2
    torch.testing.assert_close(found, torch.tensor([expected]), rtol=1e-3, atol=0)
    cells = -(math.log(0.75) + math.log(0.8) + math.log(0.5) + math.log(0.1)) / 4
    found = haics(attention, labels, "released")  # all cells, times the labelled half
    torch.testing.assert_close(found, torch.tensor([cells / 2]), rtol=1e-3, atol=0)


def test_unlabelled_cells_are_free_in_the_intended_haics_only():
    labels = torch.tensor([[[1, -1], [0, 0]]])
    low, high = torch.zeros(1, 2, 2), torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    close(haics(low, labels) - haics(high, labels), 0.0)
    assert haics(high, labels, "released") > haics(low, labels, "released")


def test_signed_labels():
    assert signed_labels(torch.tensor([[[0.0, 0.5, 0.6, 1.0]]])).tolist() == [[[-1, -1, 1, 1]]]


def test_coverage_gaze_by_hand():
    gaze = torch.tensor([[[0.7, 0.0], [0.0, 0.0]]])  # sums to anything
    even = torch.tensor([[[0.5, 0.5], [0.0, 0.0]]])
    total = 2 * math.e**0.5 + 2
    close(coverage_gaze(even, gaze), math.log(total / math.e**0.5))


def test_coverage_gaze_averages_channels():
    features = torch.rand(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    gaze = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(coverage_gaze(features, gaze), coverage_gaze(features.mean(1), gaze))


def test_entropy_by_hand():
    close(entropy(torch.ones(1, 2, 2)), 1.0)
    close(entropy(torch.tensor([[[0.0, 0.3], [0.0, 0.0]]])), 0.0)
    close(entropy(torch.tensor([[[0.5, 0.5], [0.0, 0.0]]])), 0.5)  # ln 2 / ln 4
    close(entropy(torch.ones(1, 1, 1)), 0.0)


def test_entropy_stands_where_another_loss_stands_and_counts_dead_maps_as_uniform():
    close(entropy(torch.zeros(1, 2, 2), MASK), 1.0)


# ---------------------------------------------------------------------- masks of another size


def test_a_larger_mask_comes_to_the_grid_by_area():
    mask = torch.zeros(1, 4, 4)
    mask[0, :2, :2], mask[0, 2, 2] = 1, 1  # cells 1, 0, 0, 1/4
    close(hint(torch.zeros(1, 2, 2), mask), (1 + 1 / 16) / 4)


def test_labels_come_to_the_grid_by_the_nearest_pixel():
    labels = torch.tensor([[[1, -1], [0, 0]]]).repeat_interleave(3, 1).repeat_interleave(3, 2)
    attention = torch.tensor([[[0.75, 0.2], [0.5, 0.9]]])
    assert torch.equal(haics(attention, labels), haics(attention, labels[:, ::3, ::3]))


# ---------------------------------------------------------------------- what they do to a map

SEEKING = {
    "kl_released": kl_alignment,
    "kl_printed": lambda a, m: kl_alignment(a, m, "printed"),
    "gradia": gradia,
    "hint": hint,
    "gals": gals_attention,
    "haics": lambda a, m: haics(a, signed_labels(m)),
    "gaze": coverage_gaze,
}


@pytest.mark.parametrize("name", SEEKING)
def test_descent_brings_attention_into_the_mask(name):
    mask = torch.zeros(2, 6, 6)
    mask[0, 1:3, 1:4], mask[1, 3:, 4:] = 1, 1
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(2, 6, 6, generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([raw], lr=0.2)
    for _ in range(150):
        optimizer.zero_grad()
        SEEKING[name](raw.sigmoid(), mask).sum().backward()
        optimizer.step()
    attention = raw.sigmoid().detach()
    attention = attention / attention.amax(dim=(1, 2), keepdim=True)
    np.testing.assert_allclose(iou(attention, mask), 1.0)


@pytest.mark.parametrize(
    ("loss", "word"),
    [
        (lambda: suppress_only(MAP, MASK, "l3"), "choose l1 or l2"),
        (lambda: kl_alignment(MAP, MASK, "coded"), "choose released, printed or reverse"),
        (lambda: haics(MAP, MASK, "coded"), "choose intended or released"),
        (lambda: gals_attention(MAP, MASK, "inside"), "choose match or outside"),
    ],
)
def test_unknown_forms_are_named_with_the_choices(loss, word):
    with pytest.raises(ValueError, match=word):
        loss()


@pytest.mark.parametrize("loss", SEEKING.values(), ids=SEEKING)
def test_another_number_of_masks_is_refused_with_both_shapes(loss):
    with pytest.raises(ValueError) as error:
        loss(torch.rand(2, 3, 4), torch.ones(3, 12, 16))
    assert "(2, 3, 4)" in str(error.value) and "(3, 12, 16)" in str(error.value)
