import numpy as np
import pytest
import torch

from rl_attn.attention.losses import LearnedImputation, res_g, res_l, signed_labels
from rl_attn.attention.losses.res import blurred_imputation, separating_threshold

BELL = torch.zeros(1, 5, 5)  # what one pixel in the middle becomes
BELL[0, 1:4, 1:4] = torch.tensor([[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]])

# OpenCV is the peer; on slim machines it lacks system libraries.
cv2 = pytest.importorskip("cv2", exc_type=ImportError)


def one_pixel():
    labels = torch.zeros(1, 5, 5)
    labels[0, 2, 2] = 1
    return labels


# ---------------------------------------------------------------------- imputation


def test_one_pixel_becomes_a_bell():
    torch.testing.assert_close(blurred_imputation(one_pixel()), BELL, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(7, 7), (2, 5), (1, 4), (14, 9)])
def test_the_blur_is_opencvs(size):
    labels = signed_labels(torch.rand(4, *size, generator=torch.Generator().manual_seed(0)))
    for map_, label in zip(blurred_imputation(labels), labels.clamp_min(0).numpy(), strict=True):
        expected = cv2.GaussianBlur(label, (3, 3), 0).reshape(size)
        np.testing.assert_allclose(map_, expected / (expected.max() + 1e-6), atol=1e-6)


def test_nothing_labelled_imputes_nothing():
    assert torch.equal(blurred_imputation(torch.zeros(1, 3, 3)), torch.zeros(1, 3, 3))


def test_learned_imputation_goes_from_224_to_7_with_the_papers_kernel():
    imputation = LearnedImputation()
    assert imputation.convolution.weight.shape == (1, 1, 64, 64)
    maps = imputation(torch.rand(2, 224, 224))
    assert maps.shape == (2, 7, 7) and maps.min() >= 0 and maps.max() <= 1


def test_learned_imputation_by_hand():
    imputation = LearnedImputation(stride=2)  # a 4x4 kernel, one pixel of padding
    torch.nn.init.constant_(imputation.convolution.weight, 1.0)
    torch.nn.init.constant_(imputation.convolution.bias, 5.0)
    labels = torch.zeros(1, 4, 4)
    labels[0, 1, 1] = labels[0, 0, 0] = 1  # windows see rows 0-2 and 1-3: 2, 1, 1, 1
    expected = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(imputation(labels), expected, rtol=0, atol=1e-5)


def test_odd_strides_are_refused():
    with pytest.raises(ValueError, match="stride is 3"):
        LearnedImputation(3)


# ---------------------------------------------------------------------- threshold


def searched(attention, labels):
    """The released search, candidate by candidate."""
    x, y = attention.flatten().tolist(), labels.flatten().tolist()
    negative = [v for v, label in zip(x, y, strict=True) if label < 0]
    positive = [v for v, label in zip(x, y, strict=True) if label > 0]
    best, most = 0.0, 0.0
    for candidate in [v + 1e-4 for v in negative] + positive:
        met = sum(candidate > v for v in negative) / max(len(negative), 1)
        met += sum(candidate <= v for v in positive) / max(len(positive), 1)
        if met > most:
            best, most = candidate, met
    return best


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_released_searchs(seed):
    generator = torch.Generator().manual_seed(seed)
    attention = torch.rand(3, 5, 5, generator=generator, dtype=torch.double)
    labels = torch.randint(-1, 2, (3, 5, 5), generator=generator)
    if seed % 4 == 0:
        labels.clamp_min_(0)  # positive labels only
    if seed % 4 == 1:
        labels.clamp_max_(0)
    assert separating_threshold(attention, labels).item() == searched(attention, labels)


def test_a_separable_map_is_separated():
    attention = torch.tensor([[[0.9, 0.6], [0.3, 0.1]]])
    labels = torch.tensor([[[1, 1], [-1, 0]]])
    torch.testing.assert_close(separating_threshold(attention, labels), torch.tensor(0.3001))


def test_without_labels_the_threshold_is_zero():
    assert separating_threshold(torch.rand(1, 2, 2), torch.zeros(1, 2, 2)).item() == 0


# ---------------------------------------------------------------------- the loss


def test_res_g_by_hand():
    attention = torch.zeros(1, 5, 5)
    attention[0, 2, 2] = 0.6
    labels = one_pixel()
    labels[0, 0, 0] = -1
    wrong = (1 - np.tanh(5 * 0.1)) + (1 + np.tanh(5 * -0.5))  # at the centre, in the corner
    distance = (0.4 + 4 * 0.5 + 4 * 0.25) / 25
    found = res_g(attention, labels, threshold=0.5)
    torch.testing.assert_close(found.item(), wrong / 2 - 0.1 + distance, rtol=1e-5, atol=1e-5)


def test_slack_forgives_small_disagreement():
    labels = signed_labels(BELL - 0.01)  # the bell's cross
    free = res_g(BELL, labels, threshold=0.4, slack=1.0)
    distance = (BELL - blurred_imputation(labels)).abs().mean()
    torch.testing.assert_close(free, distance[None])
    assert res_g(BELL, labels, threshold=0.4, slack=0.0) > free


def test_res_l_is_the_same_loss_with_another_imputation():
    labels = one_pixel()
    by_hand = res_l(BELL, labels, blurred_imputation, threshold=0.5)
    torch.testing.assert_close(by_hand, res_g(BELL, labels, threshold=0.5))


def test_res_l_trains_its_imputation_and_the_attention():
    torch.manual_seed(0)
    imputation = LearnedImputation(stride=2)
    attention = torch.rand(2, 4, 4, requires_grad=True)
    labels = torch.zeros(2, 8, 8)
    labels[:, 2:5, 3:7], labels[:, 7] = 1, -1
    loss = res_l(attention, labels, imputation)
    loss.sum().backward()
    assert loss.shape == (2,)
    assert attention.grad.abs().sum() > 0 and imputation.convolution.weight.grad.abs().sum() > 0


def test_samples_without_labels_get_no_loss():
    attention, labels = BELL.repeat(2, 1, 1), torch.cat([one_pixel(), 0 * one_pixel()])
    found = res_g(attention, labels)
    assert found[0] > 0 and found[1] == 0


def test_an_imputation_of_another_size_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"\(1, 4, 4\).*stride"):
        res_l(torch.rand(1, 2, 2), torch.zeros(1, 8, 8), LearnedImputation(stride=2))
