import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import nn

from rl_attn.agents import ActorCritic
from rl_attn.attention import alpha_beta, camal, grad_cam, mask_weights, normalize, tap, upsample

FRAME = (44, 52)  # the agent's feature maps are 2 x 3
ABOVE = ("hidden.weight", "critic.weight")  # parameters between the tap and the value


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(1)  # some frames' maps are dead, most are not
    agent = ActorCritic(4, FRAME, 3)
    with torch.no_grad():  # the fresh actor's logits are all but flat
        agent.actor.weight.mul_(100)
    return agent


@pytest.fixture(scope="module")
def frames():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (6, 4, *FRAME), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def weights():
    generator = torch.Generator().manual_seed(2)
    return mask_weights(torch.rand(6, *FRAME, generator=generator) > 0.6, (2, 3))


@pytest.fixture
def cnn():
    """A classifier whose tap, cnn[:4], is followed by a non-linear head."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * 6 * 8, 16),
        nn.Tanh(),
        nn.Linear(16, 4),
    )


def picture_batch(size=5):
    return torch.randn(size, 3, 10, 12, generator=torch.Generator().manual_seed(4))


def score_of(output, target):
    return output.value if target == "value" else output.logits[:, 2]


def taken(logits, labels):
    return logits.gather(1, labels[:, None])[:, 0]


def gradients(loss, model):
    """Every parameter's gradient by name, zeros where the loss does not depend on it."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g
        for name, p, g in zip(names, parameters, found, strict=True)
    }


# ---------------------------------------------------------------------- by hand


def test_a_map_computed_by_hand():
    features = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [1.0, 1.0]]]])
    features.requires_grad_()
    # score = 8 A_1[0,0] - 4 A_2[1,1]: w_1 = 8/4 = 2 and w_2 = -4/4 = -1.
    score = 8 * features[:, 0, 0, 0] - 4 * features[:, 1, 1, 1]
    # 2 A_1 - A_2 = [[-1, 4], [-1, 7]], cut at 0, halved for the mean over two channels.
    mean = grad_cam(score, features, normalization="none")
    assert mean.tolist() == [[[0.0, 2.0], [0.0, 3.5]]]
    total = grad_cam(score, features, channels="sum", normalization="none")
    assert total.tolist() == [[[0.0, 4.0], [0.0, 7.0]]]
    torch.testing.assert_close(
        grad_cam(score, features), torch.tensor([[[0.0, 4 / 7], [0.0, 1.0]]])
    )


def test_the_mean_over_channels_does_not_change_a_normalised_map(agent, frames):
    output = agent(frames)
    mean = grad_cam(output.value, output.features, channels="mean")
    total = grad_cam(output.value, output.features, channels="sum")
    torch.testing.assert_close(mean, total)


@pytest.mark.parametrize("target", ["value", "action"])
def test_a_map_does_not_depend_on_the_scale_of_the_score(agent, frames, target):
    output = agent(frames)
    score = score_of(output, target)
    plain = grad_cam(score, output.features)
    assert plain.amax(dim=(1, 2)).max() == 1
    torch.testing.assert_close(grad_cam(50 * score, output.features), plain)
    torch.testing.assert_close(grad_cam(score / 50, output.features), plain)


# ---------------------------------------------------------------------- batch = loop


@pytest.mark.parametrize("normalization", ["max", "minmax", "none"])
@pytest.mark.parametrize("target", ["value", "action"])
@pytest.mark.parametrize("shift", [False, True])
def test_batch_level_map_is_the_one_sample_at_a_time_map(
    agent, frames, shift, target, normalization
):
    def maps(some):
        output = agent(some, shift=shift)
        return grad_cam(
            score_of(output, target),
            output.features,
            normalization=normalization,
            shift=output.shift,
        )

    batch = maps(frames)
    singly = torch.cat([maps(frame[None]) for frame in frames])
    torch.testing.assert_close(batch, singly, rtol=0, atol=1e-5)


def test_batch_level_map_of_a_classifier_is_the_one_sample_at_a_time_map(cnn):
    pictures, labels = picture_batch(), torch.tensor([0, 3, 1, 1, 2])

    def maps(some, wanted):
        features = cnn[:4](some)
        return grad_cam(taken(cnn[4:](features), wanted), features)

    batch = maps(pictures, labels)
    singly = [maps(pictures[b : b + 1], labels[b : b + 1]) for b in range(len(pictures))]
    torch.testing.assert_close(batch, torch.cat(singly), rtol=0, atol=1e-5)


def test_batchnorm_above_the_tap_keeps_samples_apart_in_eval_mode_only():
    torch.manual_seed(5)
    tap = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
    head = nn.Sequential(
        nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 6 * 8, 1)
    )
    pictures = picture_batch(4)

    def difference():
        features = tap(pictures)
        scores = head(features)[:, 0]
        batch = grad_cam(scores, features)
        (gradient,) = torch.autograd.grad(scores[0], features, retain_graph=True)
        alone = gradient.mean(dim=(2, 3))[0]  # from the first sample's score, and it alone
        raw = F.relu(torch.einsum("k,khw->hw", alone, features[0]))
        return (batch[0] - raw / raw.amax()).abs().max().item()

    with torch.no_grad():
        head(tap(pictures))  # give the running statistics something to hold
    assert difference() > 1e-2
    head.eval()
    assert difference() < 1e-5


# ---------------------------------------------------------------------- ours = captum


class AsModules(nn.Module):
    """The agent's own layers with the tapped ReLU as a module, which captum can hook."""

    def __init__(self, agent):
        super().__init__()
        self.features = nn.Sequential(agent.convolutions, nn.ReLU())
        self.agent = agent

    def forward(self, frames):
        cells = self.features(frames).permute(0, 2, 3, 1).flatten(1)
        return self.agent.critic(F.relu(self.agent.hidden(cells)))


def test_map_of_the_value_is_captums_up_to_the_channel_mean(agent, frames):
    output = agent(frames)
    ours = grad_cam(output.value, output.features, normalization="none")
    modules = AsModules(agent)
    theirs = LayerGradCam(modules, modules.features).attribute(
        frames.float(), target=0, relu_attributions=True
    )
    assert theirs.abs().max() > 0
    torch.testing.assert_close(64 * ours, theirs[:, 0], rtol=1e-4, atol=1e-6)


def test_map_of_a_classifier_is_captums(cnn):
    pictures, labels = picture_batch(), torch.tensor([0, 3, 1, 1, 2])
    features = cnn[:4](pictures)
    score = taken(cnn[4:](features), labels)
    ours = grad_cam(score, features, channels="sum", normalization="none")
    theirs = LayerGradCam(cnn, cnn[3]).attribute(pictures, target=labels, relu_attributions=True)
    assert theirs.abs().max() > 0
    torch.testing.assert_close(ours, theirs[:, 0], rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- gradcheck

HEADS = {"tanh": torch.tanh, "relu": F.relu}  # curved, and piecewise linear like the agent's


def double_inputs(head):
    """Features (2, 2, 2, 3) and a head's two weight matrices, no kink within 1e-2 of them."""
    generator = torch.Generator().manual_seed(392)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    features, first, second = 0.1 + draw(2, 2, 2, 3).abs(), draw(12, 3) / 3, draw(3)
    features.requires_grad_()
    before = features.flatten(1) @ first
    score = HEADS[head](before) @ second
    (gradient,) = torch.autograd.grad(score.sum(), features)
    combined = torch.einsum("bk,bkhw->bhw", gradient.mean(dim=(2, 3)), features)
    top = combined.flatten(1).topk(2).values
    assert before.abs().min() > 1e-2  # no unit of the head at its kink
    assert combined.abs().min() > 1e-2  # no cell of the map at its kink
    assert (top[:, 0] > 0).all() and (top[:, 0] - top[:, 1]).min() > 1e-2  # one clear maximum
    return tuple(t.detach().requires_grad_() for t in (features, first, second))


@pytest.mark.parametrize("normalization", ["max", "minmax", "none"])
@pytest.mark.parametrize("head", HEADS)
def test_gradcheck_from_features_and_head_to_map(head, normalization):
    def attention(features, first, second):
        score = HEADS[head](features.flatten(1) @ first) @ second
        return grad_cam(score, features, normalization=normalization)

    assert torch.autograd.gradcheck(attention, double_inputs(head))


@pytest.mark.parametrize("head", HEADS)
def test_gradcheck_of_a_loss_through_the_map(head):
    mask = torch.zeros(2, 5, 7)
    mask[0, 1:3, 2:6], mask[1, 4, 0] = 1, 1

    def loss(features, first, second):
        score = HEADS[head](features.flatten(1) @ first) @ second
        return camal(grad_cam(score, features), mask.double()).sum()

    inputs = double_inputs(head)
    assert torch.autograd.gradcheck(loss, inputs)
    above = torch.autograd.grad(loss(*inputs), inputs[1:])
    assert all(gradient.abs().max() > 1e-3 for gradient in above)


@pytest.mark.parametrize("head", HEADS)
def test_gradcheck_through_the_shift(head):
    mask = torch.zeros(2, 5, 7)
    mask[0, 1:3, 2:6], mask[1, 4, 0] = 1, 1

    def loss(features, first, second, shifted=True):
        zeros = features.new_zeros(2, 2, requires_grad=True)
        by_channel = first.unflatten(0, (2, 6)).sum(1)
        before = features.flatten(1) @ first + zeros @ by_channel
        score = HEADS[head](before) @ second
        return camal(
            grad_cam(score, features, shift=zeros if shifted else None), mask.double()
        ).sum()

    inputs = double_inputs(head)
    assert torch.autograd.gradcheck(loss, inputs)
    with_shift = torch.autograd.grad(loss(*inputs), inputs)
    without = torch.autograd.grad(loss(*inputs, shifted=False), inputs)
    torch.testing.assert_close(with_shift, without)


def test_gradcheck_from_a_convolution_below_the_tap():
    generator = torch.Generator().manual_seed(7)
    pictures = torch.randn(2, 2, 4, 5, dtype=torch.float64, generator=generator)
    kernel = torch.randn(3, 2, 3, 3, dtype=torch.float64, generator=generator).requires_grad_()
    head = torch.randn(18, dtype=torch.float64, generator=generator).requires_grad_()

    def attention(kernel, head):
        features = F.softplus(F.conv2d(pictures, kernel))
        return grad_cam(torch.tanh(features.flatten(1) @ head / 4), features)

    assert attention(kernel, head).amax(dim=(1, 2)).tolist() == [1.0, 1.0]
    assert torch.autograd.gradcheck(attention, (kernel, head))


def test_double_precision_stays_double():
    features, first, second = double_inputs("tanh")
    score = torch.tanh(features.flatten(1) @ first) @ second
    assert grad_cam(score, features).dtype == torch.float64


# ---------------------------------------------------------------------- the agent's shift


@pytest.mark.parametrize("target", ["value", "action"])
@pytest.mark.parametrize("normalization", ["max", "minmax", "none"])
def test_shift_gives_the_plain_map(agent, frames, target, normalization):
    plain, shifted = agent(frames), agent(frames, shift=True)
    expected = grad_cam(score_of(plain, target), plain.features, normalization=normalization)
    actual = grad_cam(
        score_of(shifted, target),
        shifted.features,
        normalization=normalization,
        shift=shifted.shift,
    )
    assert expected.abs().max() > 0
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * expected.max().item())


@pytest.mark.parametrize("target", ["value", "action"])
@pytest.mark.parametrize("second_order", [True, False])
def test_shift_gives_every_parameter_the_plain_gradient(
    agent, frames, weights, target, second_order
):
    def loss(shift):
        output = agent(frames, shift=shift)
        attention = grad_cam(
            score_of(output, target),
            output.features,
            second_order=second_order,
            shift=output.shift,
        )
        alpha, beta = alpha_beta(attention, weights)
        return (beta - alpha).mean()

    expected, actual = gradients(loss(False), agent), gradients(loss(True), agent)
    assert expected["convolutions.4.weight"].abs().max() > 0
    for name, gradient in expected.items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(
            actual[name], gradient, rtol=1e-3, atol=1e-4 * scale + 1e-9, msg=f"{name} differs"
        )


# ---------------------------------------------------------------------- what the loss reaches


@pytest.mark.parametrize("shift", [False, True])
def test_second_order_lets_the_loss_reach_parameters_above_the_tap(agent, frames, weights, shift):
    output = agent(frames, shift=shift)
    attention = grad_cam(output.value, output.features, shift=output.shift)
    alpha, _ = alpha_beta(attention, weights)
    found = gradients(alpha.mean(), agent)
    assert all(found[name].abs().max() > 0 for name in ABOVE)
    assert found["convolutions.4.weight"].abs().max() > 0
    assert found["actor.weight"].abs().max() == 0  # the value does not pass through it


@pytest.mark.parametrize("shift", [False, True])
def test_first_order_stops_at_the_tap(agent, frames, weights, shift):
    output = agent(frames, shift=shift)
    attention = grad_cam(output.value, output.features, second_order=False, shift=output.shift)
    alpha, _ = alpha_beta(attention, weights)
    found = gradients(alpha.mean(), agent)
    assert all(found[name].abs().max() == 0 for name in ABOVE)
    assert found["convolutions.4.weight"].abs().max() > 0


def test_first_and_second_order_give_the_same_map(agent, frames):
    output = agent(frames)
    first = grad_cam(output.value, output.features, second_order=False)
    assert torch.equal(first, grad_cam(output.value, output.features))


def test_the_tasks_own_graph_survives_the_map(agent, frames):
    output = agent(frames, shift=True)
    before = gradients(agent(frames).value.sum(), agent)
    grad_cam(output.value, output.features, second_order=False, shift=output.shift)
    after = gradients(output.value.sum(), agent)
    for name, gradient in before.items():
        torch.testing.assert_close(after[name], gradient, msg=f"{name} differs")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("second_order", [True, False])
def test_the_model_is_left_as_it_was(frames, training, second_order):
    agent = ActorCritic(4, FRAME, 3).train(training)
    output = agent(frames, shift=True)
    grad_cam(output.value, output.features, second_order=second_order, shift=output.shift)
    assert all(parameter.grad is None for parameter in agent.parameters())
    assert all(parameter.requires_grad for parameter in agent.parameters())
    for module in agent.modules():
        assert module.training is training
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert not module._backward_hooks and not module._backward_pre_hooks
    assert output.shift.grad is None and not output.features._backward_hooks


# ---------------------------------------------------------------------- normalize


def test_max_keeps_zero_and_brings_the_maximum_to_one():
    maps = torch.tensor([[[2.0, 4.0], [8.0, 0.0]], [[0.5, 0.25], [0.5, 0.5]]])
    expected = torch.tensor([[[0.25, 0.5], [1.0, 0.0]], [[1.0, 0.5], [1.0, 1.0]]])
    assert torch.equal(normalize(maps, "max"), expected)
    assert torch.equal(normalize(maps), expected)


def test_minmax_brings_the_minimum_to_zero_too():
    maps = torch.tensor([[[2.0, 4.0], [6.0, 3.0]]])
    assert normalize(maps, "minmax").tolist() == [[[0.0, 0.5], [1.0, 0.25]]]


def test_none_leaves_maps_alone():
    maps = torch.tensor([[[2.0, 4.0], [6.0, 3.0]]])
    assert torch.equal(normalize(maps, "none"), maps)


def test_normalize_works_map_by_map():
    maps = torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(0))
    singly = torch.cat([normalize(m[None]) for m in maps])
    assert torch.equal(normalize(maps), singly)


@pytest.mark.parametrize("method", ["max", "minmax"])
def test_a_faint_map_is_no_dead_map(method):
    # The largest value that a fresh agent's action has on dim frames of 320 x 240.
    maps = 4e-9 * torch.tensor([[[0.0, 0.5], [1.0, 0.25]]])
    torch.testing.assert_close(normalize(maps, method), maps / 4e-9)


@pytest.mark.parametrize("method", ["max", "minmax", "none"])
def test_a_dead_map_stays_zero_with_finite_gradients(method):
    maps = torch.zeros(2, 3, 4, requires_grad=True)
    normalized = normalize(maps, method)
    assert torch.equal(normalized, torch.zeros(2, 3, 4))
    (gradient,) = torch.autograd.grad(normalized.sum(), maps)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_minmax_of_a_constant_map_is_zero_with_finite_gradients(level):
    maps = torch.full((1, 2, 2), level, requires_grad=True)
    normalized = normalize(maps, "minmax")
    assert torch.equal(normalized, torch.zeros(1, 2, 2))
    (gradient,) = torch.autograd.grad(normalized.sum(), maps)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("method", ["max", "minmax"])
def test_epsilon_bounds_the_gradient_of_a_map_that_is_about_to_die(method):
    maps = torch.tensor([[[0.0, 4e-7, 1e-6]], [[0.0, 1.2, 3.0]]], requires_grad=True)
    (steep,) = torch.autograd.grad(normalize(maps, method)[:, 0, 1].sum(), maps)
    assert steep[0].abs().max() > 9e5  # one over the largest cell
    normalized = normalize(maps, method, epsilon=0.1)
    torch.testing.assert_close(normalized[1], maps[1] / 3.1)
    (gentle,) = torch.autograd.grad(normalized[:, 0, 1].sum(), maps)
    assert gentle[0].abs().max() <= 10  # one over epsilon
    torch.testing.assert_close(gentle[1], steep[1], rtol=0.1, atol=0)  # of full size: as without


def test_a_score_that_nothing_supports_gives_a_dead_map_with_finite_gradients():
    features = torch.rand(2, 3, 4, 5, requires_grad=True)
    weight = torch.ones(3, requires_grad=True)
    score = -(features.mean(dim=(2, 3)) * weight).sum(1)  # every channel speaks against it
    attention = grad_cam(score, features)
    assert torch.equal(attention, torch.zeros(2, 4, 5))
    for gradient in torch.autograd.grad(attention.sum(), (features, weight)):
        assert gradient.isfinite().all()


def test_a_signed_dead_map_by_hand_leaves_live_ones_alone():
    """Value -2 a + b: the first sample has negative evidence alone, the second some of both."""
    features = torch.tensor(
        [[[[1.0, 2.0], [4.0, 0.0]], [[0.0] * 2] * 2], [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 3.0]] * 2]]
    ).requires_grad_()  # (2, 2, 2, 2)
    score = (features.sum(dim=(2, 3)) * torch.tensor([-2.0, 1.0])).sum(1)
    signed = grad_cam(score, features, dead="signed")
    expected = torch.tensor([[[-0.25, -0.5], [-1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    torch.testing.assert_close(signed, expected)
    torch.testing.assert_close(grad_cam(score, features)[1], signed[1])
    assert not grad_cam(score, features)[0].any()


def test_a_signed_dead_map_comes_to_life_where_the_mask_is():
    """Gradient descent on CAMAL from a head that only speaks against: the ReLU leaves it there."""

    def after(dead):
        torch.manual_seed(0)
        features = torch.rand(4, 3, 4, 4)
        mask = torch.zeros(4, 4, 4)
        mask[:, 1:3, 1:3] = 1
        convolution = torch.nn.Conv2d(3, 3, 1)
        head = torch.full((3,), -1.0, requires_grad=True)
        optimizer = torch.optim.Adam([*convolution.parameters(), head], 0.05)
        with torch.no_grad():  # features that are positive, so that the evidence is negative
            convolution.weight.abs_()
            convolution.bias.zero_()
        for _ in range(60):
            seen = convolution(features)
            attention = grad_cam(seen.mean(dim=(2, 3)) @ head, seen, dead=dead)
            optimizer.zero_grad()
            camal(attention, mask).mean().backward()
            optimizer.step()
        return grad_cam(seen.mean(dim=(2, 3)) @ head, seen).amax(dim=(1, 2))

    assert (after("zero") == 0).all()
    assert (after("signed") > 0).all()


def test_black_frames_give_finite_maps_and_gradients(agent, weights):
    output = agent(torch.zeros(6, 4, *FRAME, dtype=torch.uint8), shift=True)
    attention = grad_cam(output.value, output.features, shift=output.shift)
    assert attention.isfinite().all()
    alpha, _ = alpha_beta(attention, weights)
    assert all(g.isfinite().all() for g in gradients(alpha.sum(), agent).values())


def test_unknown_normalization_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"'softmax'.*max, minmax, signed or none"):
        normalize(torch.ones(1, 2, 2), "softmax")


# ---------------------------------------------------------------------- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_give_a_float32_map(dtype):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 3, 4, 5, generator=generator)
    weight = torch.randn(3, generator=generator)

    def attention(features):
        features = features.requires_grad_()
        return grad_cam((features.mean(dim=(2, 3)) * weight.to(features.dtype)).sum(1), features)

    half = attention(features.to(dtype))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, attention(features), rtol=0, atol=0.05)


@pytest.mark.parametrize("shift", [False, True])
def test_under_autocast_the_map_is_float32_and_close(agent, frames, shift):
    output = agent(frames)
    exact = grad_cam(output.value, output.features, normalization="none")
    with torch.autocast("cpu", torch.bfloat16):
        output = agent(frames, shift=shift)
        attention = grad_cam(
            output.value, output.features, normalization="none", shift=output.shift
        )
    assert output.features.dtype == torch.bfloat16
    assert attention.dtype == torch.float32
    torch.testing.assert_close(attention, exact, rtol=0, atol=0.1 * exact.max().item())


# ---------------------------------------------------------------------- upsample, bad input


def test_upsample_by_hand():
    expected = [[[0.0, 0.25, 0.75, 1.0]]]
    assert upsample(torch.tensor([[[0.0, 1.0]]]), (1, 4)).tolist() == expected


def test_upsample_stays_in_the_unit_interval_and_keeps_constants():
    maps = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(0))
    large = upsample(maps, (60, 76))
    assert large.shape == (3, 60, 76)
    assert large.min() >= 0 and large.max() <= 1
    torch.testing.assert_close(upsample(torch.ones(2, 4, 6), (9, 11)), torch.ones(2, 9, 11))


@pytest.mark.parametrize(
    ("score", "features"),
    [((4, 7), (4, 2, 3, 3)), ((3,), (4, 2, 3, 3)), ((), (4, 2, 3, 3)), ((4,), (4, 18))],
)
def test_wrong_shapes_are_named(score, features):
    leaf = torch.rand(features, requires_grad=True)
    with pytest.raises(ValueError) as error:
        grad_cam(torch.zeros(score) + leaf.sum(), leaf)
    assert str(score) in str(error.value) and str(features) in str(error.value)


def test_features_that_the_score_does_not_depend_on_are_refused(net, pictures):
    with tap(net, "last") as features:
        logits = net(pictures)
        net(pictures)
    with pytest.raises(RuntimeError, match="take both from the same forward"):
        grad_cam(logits[:, 0], features())
