import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rl_attn.agents import ActorCritic, Output, feature_grid
from rl_attn.attention import grad_cam

FRAME = (52, 76)  # feature maps of 3 x 6 cells


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(0)
    return ActorCritic(4, FRAME, 3)


@pytest.fixture(scope="module")
def frames():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (5, 4, *FRAME), dtype=torch.uint8, generator=generator)


# ---------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((120, 160), (11, 16)),
        ((240, 320), (26, 36)),
        ((84, 84), (7, 7)),  # CleanRL's Atari frames
        ((36, 36), (1, 1)),
        ((43, 44), (1, 2)),
    ],
)
def test_feature_grid(size, grid):
    assert feature_grid(size) == grid


@pytest.mark.parametrize(("tap", "grid"), [("conv1", (29, 39)), ("conv2", (13, 18))])
def test_feature_grid_of_earlier_taps(tap, grid):
    assert feature_grid((120, 160), tap) == grid


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "rgb"])
@pytest.mark.parametrize("size", [(120, 160), (240, 320), (36, 36)])
def test_one_forward_gives_policy_value_and_features(monkeypatch, size, channels):
    for name in (
        "orthogonal_",
        "kaiming_uniform_",
    ):  # slow at full size; shapes are all that counts
        monkeypatch.setattr(nn.init, name, lambda weight, *_, **__: weight)
    agent = ActorCritic(4 * channels, size, actions=7)
    with torch.no_grad():
        output = agent(torch.zeros(2, 4 * channels, *size, dtype=torch.uint8))
    h, w = feature_grid(size)
    assert agent.grid == (h, w)
    assert agent.hidden.in_features == 64 * h * w
    assert output.logits.shape == (2, 7) and output.value.shape == (2,)
    assert output.features.shape == (2, 64, h, w)
    assert output.shift is None


@pytest.mark.parametrize("size", [(35, 36), (36, 35), (8, 8), (1, 1000), (0, 0)])
def test_frames_that_are_too_small_are_refused_with_their_size(size):
    with pytest.raises(ValueError) as error:
        ActorCritic(4, size, 3)
    assert str(size) in str(error.value) and "36 x 36" in str(error.value)


def test_a_batch_is_its_samples(agent, frames):
    batch, singly = agent(frames), [agent(frame[None]) for frame in frames]
    for name in ("logits", "value", "features"):
        together = torch.cat([getattr(output, name) for output in singly])
        torch.testing.assert_close(getattr(batch, name), together, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------- the network


def plain_network(agent):
    """CleanRL's network on (B, C, H, W) in [0, 1], flattened channels first, with our weights."""
    trunk = nn.Sequential(
        nn.Conv2d(4, 32, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(agent.hidden.in_features, 512),
        nn.ReLU(),
    )
    for layer in (0, 2, 4):
        trunk[layer].load_state_dict(agent.convolutions[layer].state_dict())
    by_cell = agent.hidden.weight.detach().view(512, *agent.grid, 64)  # cells channels last
    trunk[7].weight.data = by_cell.permute(0, 3, 1, 2).flatten(1).contiguous()
    trunk[7].bias.data = agent.hidden.bias.detach().clone()
    return trunk


@pytest.mark.parametrize("shift", [False, True])
def test_it_is_cleanrls_network(agent, frames, shift):
    trunk = plain_network(agent)
    unit = frames.float() / 255
    hidden = trunk(unit)
    output = agent(frames, shift=shift)
    torch.testing.assert_close(output.features, trunk[:6](unit), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.logits, agent.actor(hidden), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.value, agent.critic(hidden)[:, 0], rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_cleanrls_network(agent, frames):
    trunk = plain_network(agent)
    loss = agent(frames).value.square().mean()
    found = torch.autograd.grad(loss, [agent.convolutions[0].weight, agent.hidden.weight])
    loss = agent.critic(trunk(frames.float() / 255)).square().mean()
    expected = torch.autograd.grad(loss, [trunk[0].weight, trunk[7].weight])
    by_cell = expected[1].view(512, 64, *agent.grid).permute(0, 2, 3, 1).flatten(1)
    for ours, wanted in zip(found, (expected[0], by_cell), strict=True):
        scale = wanted.abs().max().item()
        torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=1e-4 * scale)


def test_shift_is_a_zero_whose_gradient_is_the_cells_summed(agent, frames):
    output = agent(frames, shift=True)
    assert output.shift.shape == (5, 64)
    assert output.shift.requires_grad and not output.shift.any()
    by_shift, by_cell = torch.autograd.grad(output.value.sum(), [output.shift, output.features])
    torch.testing.assert_close(by_shift, by_cell.sum(dim=(2, 3)), rtol=1e-3, atol=1e-5)


def test_frames_are_scaled_to_the_unit_interval_and_left_unchanged(agent):
    black = torch.zeros(1, 4, *FRAME, dtype=torch.uint8)
    white = torch.full_like(black, 255)
    assert not agent(black).features.any()  # biases start at zero
    first = F.conv2d(torch.ones(1, 4, *FRAME), agent.convolutions[0].weight, stride=4)
    second = agent.convolutions[4](F.relu(agent.convolutions[2](F.relu(first))))
    torch.testing.assert_close(agent(white).features, F.relu(second), rtol=1e-4, atol=1e-5)
    assert (black == 0).all() and (white == 255).all()


def test_features_are_non_negative(agent, frames):
    features = agent(frames).features
    assert features.min() == 0 and features.max() > 0


# ---------------------------------------------------------------------- other taps


def tapped(agent, tap):
    """The same network with another tap."""
    other = ActorCritic(4, FRAME, 3, tap)
    other.load_state_dict(agent.state_dict())
    return other


@pytest.mark.parametrize(("tap", "layers", "channels"), [("conv1", 2, 32), ("conv2", 4, 64)])
def test_a_tap_changes_the_features_and_nothing_else(agent, frames, tap, layers, channels):
    other = tapped(agent, tap)
    output, plain = other(frames, shift=True), agent(frames)
    assert output.shift is None
    assert output.features.shape == (5, channels, *other.grid)
    expected = plain_network(agent)[:layers](frames.float() / 255)
    torch.testing.assert_close(output.features, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.value, plain.value)
    torch.testing.assert_close(output.logits, plain.logits)


@pytest.mark.parametrize(("tap", "layers"), [("conv1", 2), ("conv2", 4)])
def test_the_map_of_a_tap_and_its_gradient_are_those_of_the_plain_network(
    agent, frames, tap, layers
):
    other, trunk = tapped(agent, tap), plain_network(agent)
    output = other(frames)
    ours = grad_cam(output.value, output.features)
    features = trunk[:layers](frames.float() / 255)
    theirs = grad_cam(agent.critic(trunk[layers:](features))[:, 0], features)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    above = (other.convolutions[4].weight, trunk[4].weight)  # second order: above the tap
    found, wanted = (
        torch.autograd.grad(attention.square().mean(), weight)[0]
        for attention, weight in zip((ours, theirs), above, strict=True)
    )
    assert wanted.abs().max() > 0
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-3 * wanted.abs().max().item())


# ---------------------------------------------------------------------- initial weights


def test_weights_are_orthogonal_with_cleanrls_gains_and_biases_zero(agent):
    gains = [(agent.convolutions[layer], 2**0.5) for layer in (0, 2, 4)]
    gains += [(agent.hidden, 2**0.5), (agent.actor, 0.01), (agent.critic, 1.0)]
    for layer, gain in gains:
        matrix = layer.weight.detach().flatten(1)
        assert matrix.shape[0] <= matrix.shape[1]  # so the rows are orthonormal
        expected = gain**2 * torch.eye(len(matrix))
        torch.testing.assert_close(matrix @ matrix.T, expected, rtol=0, atol=1e-4 * gain**2)
        assert not layer.bias.any()


def test_a_fresh_policy_is_nearly_uniform(agent, frames):
    probabilities = agent(frames).logits.softmax(-1)
    torch.testing.assert_close(probabilities, torch.full((5, 3), 1 / 3), rtol=0, atol=0.02)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(7)
    first = ActorCritic(4, (36, 36), 3).state_dict()
    torch.manual_seed(7)
    second = ActorCritic(4, (36, 36), 3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


# ---------------------------------------------------------------------- layout and precision


def test_convolutions_and_features_are_channels_last(agent, frames):
    for layer in (0, 2, 4):
        assert agent.convolutions[layer].weight.is_contiguous(memory_format=torch.channels_last)
    features = agent(frames).features
    assert features.is_contiguous(memory_format=torch.channels_last)


def test_the_layout_of_the_frames_does_not_matter(agent, frames):
    last = frames.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(agent(last).value, agent(frames).value, rtol=1e-4, atol=1e-5)


def test_under_autocast_scores_are_float32_and_close(agent, frames):
    exact = agent(frames)
    with torch.autocast("cpu", torch.bfloat16):
        output = agent(frames, shift=True)
    assert output.logits.dtype == output.value.dtype == torch.float32
    assert output.features.dtype == torch.bfloat16
    torch.testing.assert_close(output.value, exact.value, rtol=0.05, atol=0.05)
    torch.testing.assert_close(output.logits, exact.logits, rtol=0.05, atol=0.005)


def test_detach_cuts_every_field(agent, frames):
    for shift in (False, True):
        output = agent(frames, shift=shift).detach()
        assert isinstance(output, Output)
        assert (output.shift is not None) is shift
        fields = (output.logits, *output[1:])
        assert not any(field.requires_grad for field in fields if field is not None)
