"""IMPALA's and Impoola's networks: shapes, sizes by hand, and their maps."""

import pytest
import torch
import torch.nn.functional as F

from rl_attn.agents import NETWORKS
from rl_attn.attention import Attention, grad_cam, hires_cam

FRAME = (20, 28)  # maps of 3 x 4 cells

#: Convolutions at 3 channels: 3*16*9+16, 4*(16*16*9+16), 16*32*9+32, 4*(32*32*9+32), and again
#: 32*32*9+32 and 4*(32*32*9+32).
CONVOLUTIONS = 448 + 9_280 + 4_640 + 36_992 + 9_248 + 36_992


def make(name: str, *args, **options):
    torch.manual_seed(0)
    return NETWORKS[name](*args, **options)


def alive(agent):
    """With values that are positive, so that their maps are not dead."""
    with torch.no_grad():
        sign = agent(torch.full((1, 4, *FRAME), 128, dtype=torch.uint8)).value.sign()
        agent.critic.weight.mul_(sign)
    return agent


@pytest.fixture(scope="module", params=["impala", "impoola"])
def agent(request):
    return alive(make(request.param, 4, FRAME, 3))


@pytest.fixture(scope="module")
def frames():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (5, 4, *FRAME), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("name", "scale", "convolutions", "hidden"),
    [
        ("impala", 1, CONVOLUTIONS, 8 * 8 * 32 * 256 + 256),  # Procgen's: 626,256 with its heads
        ("impoola", 1, CONVOLUTIONS, 32 * 256 + 256),
        # 32 and 64 channels: 896 + 4 * 9,248, 18,496 + 4 * 36,928, 36,928 + 4 * 36,928
        ("impoola", 2, 896 + 36_992 + 18_496 + 147_712 + 36_928 + 147_712, 64 * 256 + 256),
    ],
)
def test_parameters_are_those_of_procgens_networks(name, scale, convolutions, hidden):
    agent = make(name, 3, (64, 64), 15, width_scale=scale)
    heads = 256 * 15 + 15 + 256 + 1
    assert sum(p.numel() for p in agent.parameters()) == convolutions + hidden + heads
    if (name, scale) == ("impala", 1):
        assert convolutions + hidden + heads == 626_256


def test_one_forward_gives_policy_value_and_features(agent, frames):
    output = agent(frames)
    assert agent.grid == (3, 4) and agent.cells == (0.0, 8.0)
    assert output.features.shape == (5, 32, 3, 4) and output.features.min() >= 0
    assert output.logits.shape == (5, 3) and output.value.shape == (5,)


def test_it_is_the_published_network(agent, frames):
    """Written again, block by block."""
    x = frames.float() / 255
    for number in range(3):
        convolution, _, *blocks = agent.sequences[number]
        x = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
        x = F.max_pool2d(x, 3, 2, 1)
        for block in blocks:
            x = x + block.second(block.first(x.relu()).relu())
    x = x.relu()
    if agent.hidden.in_features == 32:
        hidden = x.mean((2, 3)) @ agent.hidden.weight.T
    else:
        by_cell = agent.hidden.weight.view(256, 3, 4, 32)  # cells channels last
        hidden = torch.einsum("bkhw,dhwk->bd", x, by_cell)
    hidden = (hidden + agent.hidden.bias).relu()
    output = agent(frames)
    torch.testing.assert_close(output.features, x, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.value, agent.critic(hidden)[:, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.logits, agent.actor(hidden), rtol=1e-4, atol=1e-5)


def test_shift_is_a_zero_whose_gradient_is_the_cells_summed(agent, frames):
    output = agent(frames, shift=True)
    assert output.shift.shape == (5, 32) and not output.shift.any()
    torch.testing.assert_close(output.value, agent(frames).value)
    by_shift, by_cell = torch.autograd.grad(output.value.sum(), [output.shift, output.features])
    torch.testing.assert_close(by_shift, by_cell.sum(dim=(2, 3)), rtol=1e-3, atol=1e-5)


def test_the_maps_of_a_batch_and_their_gradient_are_those_of_its_samples(agent, frames):
    def maps(frames):
        output = agent(frames, shift=True)
        return grad_cam(output.value, output.features, shift=output.shift)

    weights = [agent.sequences[0][0].weight, agent.hidden.weight, agent.critic.weight]
    together, singly = maps(frames), torch.cat([maps(frame[None]) for frame in frames])
    torch.testing.assert_close(together, singly, rtol=1e-3, atol=1e-4)
    one, other = (
        torch.autograd.grad(attention.square().mean(), weights) for attention in (together, singly)
    )
    for found, expected in zip(one, other, strict=True):
        size = expected.abs().max().item()
        assert size > 0
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3 * size)


def test_impoolas_grad_cam_is_its_hires_cam(frames):
    agent = alive(make("impoola", 4, FRAME, 3))
    output, alive_maps = agent(frames, shift=True), 0
    for score in (output.value, -output.value, output.logits[:, 2], -output.logits[:, 2]):
        by_shift = grad_cam(score, output.features, shift=output.shift)
        by_cell = grad_cam(score, output.features)
        expected = hires_cam(score, output.features)
        torch.testing.assert_close(by_cell, expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(by_shift, expected, rtol=0, atol=1e-6)
        alive_maps += int(expected.detach().amax((1, 2)).gt(0.99).sum())
    assert alive_maps >= 2 * len(frames)  # of a score or of its negative


def test_a_layer_is_tapped_by_its_name(agent, frames):
    name = "impala" if agent.hidden.in_features > 32 else "impoola"
    other = make(name, 4, FRAME, 3, tap="sequences.1")
    other.load_state_dict(agent.state_dict())
    output, plain = other(frames, shift=True), agent(frames)
    assert other.grid == (5, 7) and other.cells == (0.0, 4.0) and output.shift is None
    torch.testing.assert_close(output.value, plain.value)
    attention = Attention(grad_cam(output.value, output.features), other.cells)
    assert attention.map.detach().amax().item() == pytest.approx(1)
    (gradient,) = torch.autograd.grad(attention.map.mean(), other.sequences[2][0].weight)
    assert gradient.abs().max() > 0  # second order: above the tap


def test_layers_without_maps_and_unknown_ones_are_refused():
    impala, nature = NETWORKS["impala"], NETWORKS["nature"]
    impala.check(FRAME, "sequences.0.1", False)
    with pytest.raises(ValueError, match=r"--tap hidden: .*no feature maps"):
        impala.check(FRAME, "hidden", False)
    with pytest.raises(ValueError, match=r"--tap sequence.1: .*'sequences\.1'"):
        impala.check(FRAME, "sequence.1", False)
    with pytest.raises(ValueError, match="changed in place"):
        nature.check((36, 36), "convolutions.0", False)
    with pytest.raises(ValueError, match=r"--compile goes with the standard tap alone"):
        impala.check(FRAME, "sequences.1", True)
