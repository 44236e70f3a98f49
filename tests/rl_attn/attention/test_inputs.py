import pytest
import torch
from captum.attr import InputXGradient, IntegratedGradients, NoiseTunnel, Saliency
from torchvision.models import VisionTransformer

from rl_attn.attention import (
    as_map,
    class_score,
    differentiable_attention,
    expected_gradients,
    input_gradient,
    input_x_gradient,
    integrated_gradients,
    smooth_grad,
)

# captum announces what it does to the model
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scored(net, pictures, labels):
    pictures = pictures.clone().requires_grad_()
    return net(pictures).gather(1, labels[:, None])[:, 0], pictures


# Every method as one function of (model, pictures, labels).
METHODS = {
    "gradient": lambda net, x, y, **o: input_gradient(*scored(net, x, y), **o),
    "x gradient": lambda net, x, y, **o: input_x_gradient(*scored(net, x, y), **o),
    "integrated": lambda net, x, y, **o: integrated_gradients(class_score(net, y), x, steps=3, **o),
    "expected": lambda net, x, y, **o: expected_gradients(
        class_score(net, y), x, x.flip(0), samples=3, generator=generator(), **o
    ),
    "smooth": lambda net, x, y, **o: smooth_grad(
        class_score(net, y), x, deviation=0.2, samples=3, generator=generator(), **o
    ),
}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


# ---------------------------------------------------------------------- ours = captum


def close(ours, theirs):
    assert theirs.abs().max() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_input_gradient_is_captums_saliency(net, pictures, labels):
    theirs = Saliency(net).attribute(pictures, target=labels, abs=False)
    close(METHODS["gradient"](net, pictures, labels), theirs)


def test_input_x_gradient_is_captums(net, pictures, labels):
    theirs = InputXGradient(net).attribute(pictures, target=labels)
    close(METHODS["x gradient"](net, pictures, labels), theirs)


@pytest.mark.parametrize("baseline", ["zero", "picture"])
def test_integrated_gradients_are_captums(net, pictures, labels, baseline):
    base = torch.zeros(1, 3, 12, 10) if baseline == "zero" else pictures.flip(0)[:1]
    base = base.expand_as(pictures)
    theirs = IntegratedGradients(net).attribute(pictures, base, target=labels, n_steps=9)
    ours = integrated_gradients(class_score(net, labels), pictures, baseline=base, steps=9)
    close(ours, theirs.to(ours.dtype))


@pytest.mark.parametrize("squared", [False, True])
def test_smooth_grad_is_captums_noise_tunnel(net, pictures, labels, squared, monkeypatch):
    samples, rows = 4, len(pictures)
    noise_generator = generator(7)
    noise = torch.stack(
        [torch.randn(pictures.shape, generator=noise_generator) for _ in range(samples)], dim=1
    )

    def noisy(given, deviation, number):
        assert number == samples
        return given.repeat_interleave(number, 0) + deviation * noise.flatten(0, 1)

    monkeypatch.setattr(NoiseTunnel, "_add_noise_to_input", staticmethod(noisy))
    theirs = NoiseTunnel(Saliency(net)).attribute(
        pictures,
        nt_type="smoothgrad_sq" if squared else "smoothgrad",
        nt_samples=samples,
        stdevs=0.3,
        target=labels,
        abs=False,
    )
    ours = smooth_grad(
        class_score(net, labels),
        pictures,
        deviation=0.3,
        samples=samples,
        squared=squared,
        generator=generator(7),
    )
    assert len(ours) == rows
    close(ours, theirs)


# ---------------------------------------------------------------------- closed forms


def linear_score(weight):
    return lambda pictures, rows: (pictures * weight[rows]).sum(dim=(1, 2, 3))


def test_on_a_linear_score_all_are_weight_times_difference():
    x, weight = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4)
    score_of, references = linear_score(weight), torch.randn(1, 1, 3, 4)
    leaf = x.clone().requires_grad_()
    score = score_of(leaf, torch.arange(2))
    torch.testing.assert_close(input_gradient(score, leaf), weight)
    torch.testing.assert_close(input_x_gradient(score, leaf), x * weight)
    torch.testing.assert_close(integrated_gradients(score_of, x, baseline=1.0), (x - 1) * weight)
    torch.testing.assert_close(
        expected_gradients(score_of, x, references), (x - references) * weight
    )
    torch.testing.assert_close(smooth_grad(score_of, x, deviation=3.0), weight)


def test_integrated_gradients_of_a_square_are_exact_with_one_step():
    x = torch.tensor([[[[1.0, -2.0]]]])
    blamed = integrated_gradients(lambda p, rows: p.square().sum(dim=(1, 2, 3)), x, steps=1)
    assert blamed.tolist() == [[[[1.0, 4.0]]]]  # x times the gradient half-way, 2 * x/2


def test_integrated_gradients_sum_to_the_difference_of_scores(net, pictures, labels):
    score_of, rows = class_score(net, labels), torch.arange(len(pictures))
    blamed = integrated_gradients(score_of, pictures, steps=64, second_order=False)
    expected = score_of(pictures, rows) - score_of(torch.zeros_like(pictures), rows)
    torch.testing.assert_close(blamed.sum(dim=(1, 2, 3)), expected, rtol=0.02, atol=0.01)


def test_expected_gradients_are_the_mean_over_draws(net, pictures, labels):
    references = torch.randn(7, 3, 12, 10, generator=generator(1))
    ours = expected_gradients(
        class_score(net, labels), pictures, references, samples=3, generator=generator(5)
    )
    same = generator(5)
    chosen = torch.randint(7, (3, 5), generator=same)
    alphas = torch.rand(3, 5, generator=same)
    for b, label in enumerate(labels):
        total = torch.zeros(3, 12, 10)
        for s in range(3):
            reference = references[chosen[s, b]]
            point = (reference + alphas[s, b] * (pictures[b] - reference)).requires_grad_()
            (g,) = torch.autograd.grad(net(point[None])[0, label], point)
            total += (pictures[b] - reference) * g / 3
        torch.testing.assert_close(ours[b], total, rtol=1e-4, atol=1e-6)


def test_expected_gradients_of_others_leave_each_picture_itself_out():
    first, second = pictures = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    found = expected_gradients(
        lambda x, rows: x.sum(dim=(1, 2, 3)), pictures, pictures, samples=9, others=True
    )
    torch.testing.assert_close(found, torch.stack([first - second, second - first]))


# ---------------------------------------------------------------------- batch, chunks, state


def test_batch_is_a_loop_over_samples(net, pictures, labels):
    for name in ("gradient", "x gradient", "integrated"):
        batch = METHODS[name](net, pictures, labels)
        rows = [METHODS[name](net, pictures[b : b + 1], labels[b : b + 1]) for b in range(5)]
        torch.testing.assert_close(batch, torch.cat(rows), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["integrated", "expected", "smooth"])
@pytest.mark.parametrize("chunk", [1, 4, 7])
def test_chunks_change_nothing(net, pictures, labels, name, chunk):
    whole = METHODS[name](net, pictures, labels)
    parts = METHODS[name](net, pictures, labels, chunk=chunk)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("second_order", [True, False])
def test_second_order_decides_whether_a_loss_reaches_parameters(
    net, pictures, labels, method, second_order, untouched
):
    pictures.requires_grad_(False)
    blamed = method(net, pictures, labels, second_order=second_order)
    head = net.head[1].weight if hasattr(net, "head") else net.fc.weight
    if second_order:
        found = torch.autograd.grad(blamed.square().sum(), (head, next(net.parameters())))
        assert all(gradient.abs().max() > 0 for gradient in found)
    else:
        assert not blamed.requires_grad or blamed.grad_fn.name() == "MulBackward0"  # x itself
    assert pictures.grad is None and not pictures.requires_grad
    assert untouched(net)


def test_it_works_where_gradients_are_switched_off(net, pictures, labels):
    with torch.no_grad():
        blamed = integrated_gradients(class_score(net, labels), pictures, second_order=False)
    assert blamed.abs().max() > 0 and not blamed.requires_grad


def test_a_transformer_can_be_trained_through_them():
    torch.manual_seed(0)
    model = VisionTransformer(8, 4, 1, 2, 8, 8, num_classes=3).eval()
    torch.nn.init.normal_(model.heads.head.weight)
    pictures, labels = torch.randn(2, 3, 8, 8), torch.tensor([0, 2])
    with differentiable_attention():
        gradient = METHODS["gradient"](model, pictures, labels)
    for blamed in (gradient, METHODS["integrated"](model, pictures, labels)):
        (found,) = torch.autograd.grad(blamed.square().sum(), model.conv_proj.weight)
        assert found.isfinite().all() and found.any()


def test_gradcheck_by_pictures_and_weights(method):
    pictures = torch.randn(2, 1, 2, 3, dtype=torch.float64, generator=generator()).requires_grad_()
    weight = torch.randn(6, 4, dtype=torch.float64, generator=generator(1)).requires_grad_()
    labels = torch.tensor([1, 3])

    def attribution(pictures, weight):
        def model(x):
            return torch.tanh(x.flatten(1) @ weight / 2)

        return method(model, pictures, labels)

    assert torch.autograd.gradcheck(attribution, (pictures, weight))


# ---------------------------------------------------------------------- as_map


def test_as_map_by_hand():
    attribution = torch.tensor([[[[1.0, -3.0]], [[-2.0, 1.0]]]])  # two channels of two pixels
    assert as_map(attribution, "abs", "none").tolist() == [[[3.0, 4.0]]]
    assert as_map(attribution, "sum", "none").tolist() == [[[1.0, 2.0]]]
    assert as_map(attribution, "positive", "none").tolist() == [[[0.0, 0.0]]]
    assert as_map(attribution, "max", "none").tolist() == [[[2.0, 3.0]]]
    assert as_map(attribution).tolist() == [[[0.75, 1.0]]]


def test_every_method_becomes_a_map(net, pictures, labels, method):
    maps = as_map(method(net, pictures, labels))
    assert maps.shape == (5, 12, 10)
    assert maps.amin() >= 0 and torch.equal(maps.amax(dim=(1, 2)), torch.ones(5))


# ---------------------------------------------------------------------- bad input


def test_input_gradient_names_what_is_missing(net, pictures, labels):
    score = net(pictures).gather(1, labels[:, None])[:, 0]
    with pytest.raises(ValueError, match="requires_grad_"):
        input_gradient(score, pictures)
    with pytest.raises(ValueError, match=r"\(5, 4\)"):
        input_gradient(net(pictures), pictures)


def test_whole_numbers_and_wrong_scores_are_refused(net, pictures, labels):
    with pytest.raises(ValueError, match="uint8"):
        integrated_gradients(class_score(net, labels), pictures.to(torch.uint8))
    with pytest.raises(ValueError, match=r"must return \(160,\), got \(160, 4\)"):
        integrated_gradients(lambda x, rows: net(x), pictures)


def test_as_map_names_bad_input(pictures):
    with pytest.raises(ValueError, match="'mean'"):
        as_map(pictures, "mean")
    with pytest.raises(ValueError, match=r"\(12, 10\)"):
        as_map(pictures[0, 0])
