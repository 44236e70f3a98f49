import pytest
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from torch import nn
from torch.nn import functional as F

from rl_attn.attention import (
    cam,
    contrast,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    tap,
)

GRADIENT_MAPS = [grad_cam, grad_cam_plus_plus, layer_cam, hires_cam]


def tapped(net, pictures, layer="last"):
    with tap(net, layer) as features:
        logits = net(pictures)
    return logits, features()


def taken(logits, labels):
    return logits.gather(1, labels[:, None])[:, 0]


# ---------------------------------------------------------------------- by hand

FEATURES = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [1.0, 1.0]]]])


def two_cells():
    """Features and a score with gradient 8 at A_1[0,0] and -4 at A_2[1,1], 0 elsewhere."""
    features = FEATURES.clone().requires_grad_()
    return 8 * features[:, 0, 0, 0] - 4 * features[:, 1, 1, 1], features


def test_hires_cam_by_hand():
    maps = hires_cam(*two_cells(), normalization="none", relu=False)
    assert maps.tolist() == [[[8.0, 0.0], [0.0, -4.0]]]
    assert hires_cam(*two_cells()).tolist() == [[[1.0, 0.0], [0.0, 0.0]]]


def test_layer_cam_by_hand():
    assert layer_cam(*two_cells(), normalization="none").tolist() == [[[8.0, 0.0], [0.0, 0.0]]]


def test_grad_cam_plus_plus_by_hand():
    # sum_ab A_1 = 7: alpha = 64 / (2 * 64 + 512 * 7) = 1/58, w_1 = 8/58; w_2 = 0.
    expected = 8 / 58 * FEATURES[:, 0]
    torch.testing.assert_close(grad_cam_plus_plus(*two_cells(), normalization="none"), expected)


def test_cam_by_hand():
    weight = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    maps = cam(FEATURES, weight, torch.tensor([1]), normalization="none")
    assert maps.tolist() == [[[0.0, 2.0], [0.0, 2.0]]]  # [1 - 6, 2], [0 - 2, 4 - 2], cut at 0
    signed = cam(FEATURES, weight, torch.tensor([1]), normalization="minmax", relu=False)
    torch.testing.assert_close(signed, torch.tensor([[[0.0, 1.0], [3 / 7, 1.0]]]))


def test_cam_of_every_class_is_a_loop_over_classes():
    torch.manual_seed(0)
    features, weight = torch.randn(3, 4, 5, 6), torch.randn(7, 4)
    every = cam(features, weight, None, normalization="minmax", epsilon=0.1)
    assert every.shape == (3, 7, 5, 6)
    for label in range(7):
        one = cam(features, weight, torch.full((3,), label), normalization="minmax", epsilon=0.1)
        torch.testing.assert_close(every[:, label], one)


# ---------------------------------------------------------------------- ours = independent


def test_grad_cam_is_captums(net, pictures, labels, untouched):
    logits, features = tapped(net, pictures)
    ours = grad_cam(taken(logits, labels), features, channels="sum", normalization="none")
    theirs = LayerGradCam(net, net.last).attribute(pictures, target=labels, relu_attributions=True)
    assert theirs.abs().max() > 0
    torch.testing.assert_close(ours, theirs[:, 0], rtol=1e-4, atol=1e-7)
    assert untouched(net)


def test_hires_cam_is_captums_gradient_times_activation(net, pictures, labels):
    logits, features = tapped(net, pictures)
    ours = hires_cam(taken(logits, labels), features, normalization="none", relu=False)
    theirs = LayerGradientXActivation(net, net.last).attribute(pictures, target=labels)
    torch.testing.assert_close(ours, theirs.sum(1), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("method", GRADIENT_MAPS)
@pytest.mark.parametrize("normalization", ["max", "none"])
def test_batch_is_a_loop_over_samples(net, pictures, labels, method, normalization):
    def maps(some, wanted):
        logits, features = tapped(net, some)
        return method(taken(logits, wanted), features, normalization=normalization)

    singly = [maps(pictures[b : b + 1], labels[b : b + 1]) for b in range(len(pictures))]
    batch = maps(pictures, labels)
    assert batch.amax() > 0 and batch.amin() >= 0
    torch.testing.assert_close(batch, torch.cat(singly), rtol=1e-4, atol=1e-6)


def test_grad_cam_plus_plus_is_the_papers_formula(net, pictures, labels):
    logits, features = tapped(net, pictures)
    ours = grad_cam_plus_plus(taken(logits, labels), features)
    (g,) = torch.autograd.grad(taken(logits, labels).sum(), features, retain_graph=True)
    g, maps = g.double(), features.double()
    below = 2 * g**2 + maps.sum(dim=(2, 3), keepdim=True) * g**3
    alpha = torch.where(g == 0, 0, g**2 / torch.where(below == 0, 1, below))
    exponential = taken(logits, labels).double().exp()[:, None, None, None]
    weights = (alpha * F.relu(exponential * g)).sum(dim=(2, 3), keepdim=True)
    expected = F.relu((weights * maps).sum(1))
    expected = expected / expected.amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=1e-6)


def test_layer_cam_is_the_papers_formula(net, pictures, labels):
    logits, features = tapped(net, pictures)
    ours = layer_cam(taken(logits, labels), features, normalization="none")
    for b, label in enumerate(labels):
        (g,) = torch.autograd.grad(logits[b, label], features, retain_graph=True)
        expected = sum(g[b, k].clamp_min(0) * features[b, k] for k in range(features.shape[1]))
        torch.testing.assert_close(ours[b], expected.clamp_min(0), rtol=1e-4, atol=1e-7)


# A linear head on averaged cells makes most of them one map.


@pytest.fixture
def linear_head():
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(4, 5, 3, 4, generator=generator, requires_grad=True)
    weight = torch.randn(6, 5, generator=generator, requires_grad=True)
    return features, weight, features.mean(dim=(2, 3)) @ weight.T


def test_with_a_linear_head_cam_grad_cam_and_hires_cam_agree(linear_head):
    features, weight, logits = linear_head
    labels = torch.tensor([0, 5, 2, 2])
    expected = cam(features, weight, labels)
    assert expected.amax() == 1
    for method in (grad_cam, hires_cam):
        torch.testing.assert_close(method(taken(logits, labels), features), expected)
    raw = grad_cam(taken(logits, labels), features, channels="sum", normalization="none")
    cells = features.shape[2] * features.shape[3]
    torch.testing.assert_close(
        raw * cells, cam(features, weight, labels, normalization="none"), rtol=1e-4, atol=1e-6
    )


def test_cam_of_a_network_that_averages_is_captums_grad_cam_times_its_cells(pictures, labels):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU())
    model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    features = body(pictures)
    ours = cam(features, model[3].weight, labels, normalization="none")
    theirs = LayerGradCam(model, body).attribute(pictures, labels, relu_attributions=True)[:, 0]
    assert theirs.amax() > 0
    torch.testing.assert_close(ours, theirs * features[0, 0].numel(), rtol=1e-4, atol=1e-6)


def test_hires_cam_sums_to_the_score_of_a_linear_head(linear_head):
    features, _, logits = linear_head
    maps = hires_cam(logits[:, 1], features, normalization="none", relu=False)
    torch.testing.assert_close(maps.sum(dim=(1, 2)), logits[:, 1])


# ---------------------------------------------------------------------- gradients


def double_inputs():
    generator = torch.Generator().manual_seed(66)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    inputs = 0.1 + draw(2, 3, 2, 3).abs(), draw(18, 5) / 4, draw(5)
    return tuple(t.requires_grad_() for t in inputs)


@pytest.mark.parametrize("normalization", ["max", "minmax", "none"])
@pytest.mark.parametrize("method", GRADIENT_MAPS)
def test_gradcheck_from_features_and_head_to_map(method, normalization):
    def attention(features, first, second):
        score = torch.tanh(features.flatten(1) @ first) @ second
        return method(score, features, normalization=normalization)

    inputs = double_inputs()
    assert attention(*inputs).amax() > 0
    assert torch.autograd.gradcheck(attention, inputs)


@pytest.mark.parametrize("baseline", ["logsumexp", "mean", "max"])
def test_gradcheck_of_the_contrast(baseline):
    labels = torch.tensor([0, 2])

    def attention(features, first):
        logits = torch.tanh(features.flatten(1) @ first)
        return grad_cam(contrast(logits, labels, baseline), features, normalization="none")

    assert torch.autograd.gradcheck(attention, double_inputs()[:2])


def test_gradcheck_of_cam():
    features, first, _ = double_inputs()
    weight = first[:4, :3].detach().requires_grad_()
    labels = torch.tensor([1, 3])
    assert torch.autograd.gradcheck(lambda f, w: cam(f, w, labels), (features, weight))


@pytest.mark.parametrize("method", GRADIENT_MAPS)
def test_second_order_decides_whether_a_loss_reaches_above(net, pictures, labels, method):
    head = net.head[1].weight if hasattr(net, "head") else net.fc.weight
    below = next(net.parameters())
    found = {}
    for second_order in (True, False):
        logits, features = tapped(net, pictures)
        maps = method(taken(logits, labels), features, second_order=second_order)
        loss = maps[:, 1, 1].sum()
        found[second_order] = torch.autograd.grad(loss, (head, below), allow_unused=True)
        assert found[second_order][1].abs().max() > 0
    assert found[True][0].abs().max() > 0
    assert found[False][0] is None or not found[False][0].any()


def test_cam_with_constant_weights_reaches_the_features_alone(linear_head):
    features, weight, _ = linear_head
    maps = cam(features, weight, torch.tensor([0, 5, 2, 2]), second_order=False)
    below, above = torch.autograd.grad(maps[:, 0].sum(), (features, weight), allow_unused=True)
    assert below.abs().max() > 0 and above is None


@pytest.mark.parametrize("method", GRADIENT_MAPS)
def test_a_dead_map_is_zero_with_finite_gradients(method):
    features = torch.rand(2, 3, 4, 5, requires_grad=True)
    weight = torch.ones(3, requires_grad=True)
    maps = method(-(features.mean(dim=(2, 3)) * weight).sum(1), features)
    assert torch.equal(maps, torch.zeros(2, 4, 5))
    for gradient in torch.autograd.grad(maps.sum(), (features, weight), allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


def test_features_of_zeros_give_finite_maps():
    features = torch.zeros(2, 3, 4, 5, requires_grad=True)
    for method in GRADIENT_MAPS:
        assert method(features.sum(dim=(1, 2, 3)), features).isfinite().all()


# ---------------------------------------------------------------------- contrast


def test_contrast_by_hand():
    logits = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 3.0]])
    labels = torch.tensor([2, 0])
    assert contrast(logits, labels, "mean").tolist() == [2.5, -1.5]
    assert contrast(logits, labels, "max").tolist() == [2.0, -3.0]
    p = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(contrast(logits, labels), (p / (1 - p)).log())


def test_with_two_classes_all_contrasts_are_the_difference():
    logits, labels = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 1])
    expected = taken(logits, labels) - taken(logits, 1 - labels)
    for baseline in ("logsumexp", "mean", "max"):
        torch.testing.assert_close(contrast(logits, labels, baseline), expected)


@pytest.mark.parametrize("baseline", ["logsumexp", "mean", "max"])
def test_passive_fooling_changes_grad_cam_but_not_diff_grad_cam(net, pictures, labels, baseline):
    logits, features = tapped(net, pictures)
    fooled = logits + 20 * features[:, :, 0, 0].sum(1, keepdim=True)  # decisions stay the same
    plain, other = (grad_cam(contrast(x, labels, baseline), features) for x in (logits, fooled))
    torch.testing.assert_close(plain, other, rtol=1e-3, atol=1e-3)
    shown = grad_cam(taken(fooled, labels), features)
    assert (shown - grad_cam(taken(logits, labels), features)).abs().max() > 0.1


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize("method", GRADIENT_MAPS)
def test_wrong_shapes_are_named(method):
    leaf = torch.rand(4, 18, requires_grad=True)
    with pytest.raises(ValueError, match=r"\(4, 18\)"):
        method(leaf.sum(1), leaf)


def test_cam_names_wrong_shapes():
    with pytest.raises(ValueError, match=r"\(4, 2, 3, 3\) and \(5, 3\)"):
        cam(torch.rand(4, 2, 3, 3), torch.rand(5, 3), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match=r"labels \(B,\)"):
        cam(torch.rand(4, 2, 3, 3), torch.rand(5, 2), torch.zeros(3, dtype=torch.long))


def test_negative_evidence_needs_another_normalisation():
    with pytest.raises(ValueError, match="minmax, signed or none"):
        hires_cam(*two_cells(), relu=False)


def test_contrast_names_its_needs():
    with pytest.raises(ValueError, match=r"\(3, 1\)"):
        contrast(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="'median'"):
        contrast(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long), "median")
