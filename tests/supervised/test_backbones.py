import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.backbones import SMALL, build, parameters_of, seeded, tap_layer
from rl_attn.supervised.network import Network, Output


@pytest.mark.parametrize(
    ("name", "channels", "size", "parameters"),
    [
        ("lenet", 3, 32, 3042),  # Learning to Look
        ("color-cnn", 3, 28, 1520 + 25050 + 800 * 500 + 500 + 5010),
        ("decoy-cnn", 1, 28, 520 + 25050 + 800 * 256 + 256 + 2570),
        ("rrr-mlp", 1, 28, 784 * 50 + 50 + 50 * 30 + 30 + 310),
    ],
)
def test_small_networks_have_the_papers_sizes(name, channels, size, parameters):
    model = build(name, channels, 10, (size, size))
    assert parameters_of(model) == parameters
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 10)


def test_lenet_s_map_is_the_raw_output_of_conv2():
    model = build("lenet", 3, 10, (32, 32))
    output = Network(model, tap_layer(model, ""))(torch.randn(2, 3, 32, 32))
    assert output.features.shape == (2, 16, 10, 10) and output.features.min() < 0
    # CAM by hand: ReLU(sum_k w[y, k] z_k), min-max
    labels = torch.tensor([4, 7])
    raw = torch.stack([(model.classifier.weight[y] @ z.flatten(1)).relu() for y, z in
                       zip(labels, output.features, strict=True)])  # fmt: skip
    low, high = raw.amin(1, keepdim=True), raw.amax(1, keepdim=True)
    by_hand = ((raw - low) / (high - low)).view(2, 10, 10)
    torch.testing.assert_close(output.cam(labels, normalization="minmax").map, by_hand)


def test_a_fresh_vit_has_a_head_that_attends():
    """torchvision's is all zero, and so would be every map."""
    model = build("vit_b_16", 3, 4, (224, 224))
    assert model.heads.head.weight.any() and model.heads.head.out_features == 4


def test_torchvision_networks_get_their_head_and_tap():
    model = build("resnet18", 3, 5, (64, 64))
    output = Network(model, tap_layer(model, ""))(torch.zeros(2, 3, 64, 64))
    assert output.logits.shape == (2, 5) and output.features.shape == (2, 512, 2, 2)


def test_the_same_seed_gives_the_same_network_and_leaves_torch_s_state():
    before = torch.get_rng_state()
    a, b = (seeded(3, lambda: build("lenet", 1, 10, (28, 28))) for _ in range(2))
    assert torch.equal(a.conv1.weight, b.conv1.weight)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "imagenet", "message"),
    [
        ("resnet19", False, "resnet18"),
        ("lenet", True, "no ImageNet weights for lenet"),
        ("timm:no_such_model", False, "timm"),
    ],
)
def test_what_cannot_be_built_is_named(name, imagenet, message):
    with pytest.raises(UserError, match=message):
        build(name, 3, 10, (32, 32), imagenet)


def test_weights_that_cannot_be_fetched_are_said_plainly(monkeypatch):
    from urllib.error import URLError

    from torchvision import models

    def offline(name: str, weights: str | None) -> None:
        raise URLError("no network")

    monkeypatch.setattr(models, "get_model", offline)
    with pytest.raises(UserError, match="--weights none"):
        build("resnet18", 3, 10, (32, 32), imagenet=True)


def test_an_unknown_layer_is_answered_with_the_choices():
    with pytest.raises(UserError, match="conv2"):
        tap_layer(build("lenet", 1, 10, (28, 28)), "conv3")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["lenet", "color-cnn"])
def test_grey_pictures_are_convolved_once_and_to_the_same_numbers(name, layout):
    model = build(name, 3, 10, (28, 28)).to(memory_format=layout)
    grey = torch.randn(4, 1, 28, 28)
    found = []
    for x in (grey.expand(-1, 3, -1, -1), grey.repeat(1, 3, 1, 1)):
        maps = model.features(x)
        loss = model.head(maps).square().sum()
        found.append((maps, *torch.autograd.grad(loss, list(model.parameters()))))
        assert maps.is_contiguous(memory_format=layout)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
    # A gradient by the pictures has its three channels, and the layer can be tapped.
    x = grey.expand(-1, 3, -1, -1).requires_grad_()
    (by_input,) = torch.autograd.grad(model(x).square().sum(), x)
    y = grey.repeat(1, 3, 1, 1).requires_grad_()
    torch.testing.assert_close(by_input, torch.autograd.grad(model(y).square().sum(), y)[0])
    tapped = Network(model, "conv1")(grey.expand(-1, 3, -1, -1)).features
    torch.testing.assert_close(tapped, model.conv1(y.detach()))


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(UserError, match="too small"):
        build("decoy-cnn", 1, 10, (12, 12))


def test_every_small_network_is_its_halves():
    for name in SMALL:
        model = build(name, 1, 10, (28, 28))
        x = torch.randn(2, 1, 28, 28)
        if hasattr(model, "features"):
            torch.testing.assert_close(model.head(model.features(x)), model(x))


@pytest.mark.parametrize("name", ["lenet", "color-cnn", "decoy-cnn"])
def test_halves_are_what_a_tap_between_them_gives(name):
    network = Network(build(name, 1, 10, (28, 28)), "conv2")
    assert network.halved and not Network(network.model, "conv1").halved
    x, labels = torch.randn(3, 1, 28, 28), torch.tensor([0, 4, 9])
    maps, logits = network.tapped(x)
    output = network(x)
    torch.testing.assert_close((output.logits, output.features), (logits, maps))
    expected = Output(logits, maps, cells=(6.5, 2.0)).grad_cam(labels)
    assert output.grad_cam(labels).cells == expected.cells  # two windows of 5, a pool of 2
    torch.testing.assert_close(output.grad_cam(labels).map, expected.map)
    network.model.requires_grad_(False)  # as in evaluation: the map is where the graph begins
    torch.testing.assert_close(network(x).grad_cam(labels).map, expected.map)
