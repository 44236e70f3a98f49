import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import softmax
from scipy.stats import entropy
from torch import nn

from rl_attn.agents import ActorCritic
from rl_attn.attention import greydanus, sarfa
from rl_attn.attention.perturbation import gaussian_blur


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(0)
    agent = ActorCritic(2, (40, 48), 4)
    with torch.no_grad():  # the fresh actor's logits are all but flat
        agent.actor.weight.mul_(300)
    return agent


@pytest.fixture(scope="module")
def frames():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 2, 40, 48), dtype=torch.uint8, generator=generator)


def spots(size, stride, spot):
    """(y, x) of each location and its Gaussian, pixel centres at i + 1/2."""
    rows, columns = (max(1, pixels // stride) for pixels in size)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    for i in range(rows):
        for j in range(columns):
            dy, dx = y - (i + 0.5) * size[0] / rows, x - (j + 0.5) * size[1] / columns
            yield np.exp(-(dy**2 + dx**2) / (2 * spot**2))


def by_loop(measure, outputs_of, frames, stride, spot=5.0, blur=3.0):
    """Scores (B, h*w), one location and one frame at a time, with scipy's blur."""
    scores = []
    for frame in frames:
        blurred = gaussian_filter(
            frame.double().numpy(), sigma=(0, blur, blur), mode="nearest", truncate=4
        )
        before = outputs_of(frame[None])[0].detach().numpy()
        for spot_map in spots(frame.shape[1:], stride, spot):
            mixed = torch.from_numpy(frame.numpy() * (1 - spot_map) + blurred * spot_map)
            mixed = mixed.to(frame.dtype) if frame.is_floating_point() else mixed.round().byte()
            after = outputs_of(mixed[None])[0]
            scores.append(measure(before, after.detach().numpy()))
    return torch.tensor(np.array(scores), dtype=torch.float32).view(len(frames), -1)


def coarse(maps, stride):
    """The scores at the locations again: a map of one pixel a location is not upsampled."""
    return maps[:, stride // 2 :: stride, stride // 2 :: stride].flatten(1)


def half_square(before, after):
    return 0.5 * ((before - after) ** 2).sum()


def sarfa_of(action):
    def measure(before, after):  # as the authors' code for Atari has it
        p, q = softmax(before), softmax(after)
        a = p.argmax() if action is None else action
        fall = p[a] - q[a]
        if fall <= 0:
            return 0.0
        likeness = 1 / (1 + entropy(np.delete(p, a), np.delete(q, a)))
        return 2 * fall * likeness / (likeness + fall)

    return measure


# An odd stride that divides the frame puts a pixel at each location's centre, where bilinear
# upsampling returns the location's own score.


@pytest.fixture
def pooled():
    """Another architecture, in double: BatchNorm and average pooling on real-valued frames."""
    torch.manual_seed(2)
    layers = [nn.Conv2d(2, 8, 5, stride=2), nn.BatchNorm2d(8), nn.SiLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 4)).double().eval()


@pytest.mark.parametrize("method", [greydanus, sarfa])
def test_on_real_valued_frames_the_loops_are_met_to_rounding(pooled, method):
    frames = torch.rand(2, 2, 15, 25, dtype=torch.float64)
    ours = method(pooled, frames, stride=5, normalization="none")
    measure = half_square if method is greydanus else sarfa_of(None)
    expected = by_loop(measure, pooled, frames, 5)
    assert expected.max() > 0
    torch.testing.assert_close(
        coarse(ours, 5).float(), expected, rtol=1e-4, atol=1e-5 * expected.max()
    )


def test_greydanus_is_the_papers_loop(agent, frames):
    cut = frames[:, :, :, :45]
    small = ActorCritic(2, (40, 45), 4)
    ours = greydanus(lambda f: small(f).logits * 300, cut, stride=5, normalization="none")
    expected = by_loop(half_square, lambda f: small(f).logits * 300, cut, 5)
    assert expected.max() > 0
    torch.testing.assert_close(coarse(ours, 5), expected, rtol=2e-2, atol=1e-3 * expected.max())


@pytest.mark.parametrize("action", [None, 2])
def test_sarfa_is_the_authors_loop(agent, frames, action):
    cut = frames[:, :, :, :45]
    torch.manual_seed(1)
    small = ActorCritic(2, (40, 45), 4)

    def outputs_of(f):
        return small(f).logits * 300

    actions = None if action is None else torch.full((3,), action)
    ours = sarfa(outputs_of, cut, actions, stride=5, normalization="none")
    expected = by_loop(sarfa_of(action), outputs_of, cut, 5)
    assert expected.max() > 0
    torch.testing.assert_close(coarse(ours, 5), expected, rtol=2e-2, atol=1e-3 * expected.max())


@pytest.mark.parametrize("deviation", [0.7, 3.0])
def test_blur_is_scipys(deviation):
    frames = torch.rand(2, 3, 17, 23, dtype=torch.float64)
    expected = gaussian_filter(
        frames.numpy(), sigma=(0, 0, deviation, deviation), mode="nearest", truncate=4
    )
    torch.testing.assert_close(gaussian_blur(frames, deviation), torch.from_numpy(expected))


def test_only_what_the_agent_reads_is_salient():
    frames = torch.rand(2, 1, 40, 40, generator=torch.Generator().manual_seed(0))

    def corner(f):
        return f[:, 0, :8, :8].flatten(1)

    maps = greydanus(corner, frames, spot=2.0)
    assert maps.shape == (2, 40, 40)
    assert torch.equal(maps.amax(dim=(1, 2)), torch.ones(2))
    assert maps[:, 25:, 25:].amax() < 1e-6
    assert (maps[:, :10, :10].sum(dim=(1, 2)) > 0.6 * maps.sum(dim=(1, 2))).all()


def test_a_value_can_be_explained_and_chunks_change_nothing(agent, frames):
    def value(f):
        return agent(f).value[:, None]

    whole = greydanus(value, frames, stride=8)
    assert whole.amax() == 1 and not whole.requires_grad
    torch.testing.assert_close(greydanus(value, frames, stride=8, chunk=7), whole)


def test_batch_is_a_loop(agent, frames):
    batch = sarfa(lambda f: agent(f).logits, frames, stride=8)
    singly = [sarfa(lambda f: agent(f).logits, frame[None], stride=8) for frame in frames]
    torch.testing.assert_close(batch, torch.cat(singly), rtol=1e-4, atol=1e-5)


def test_only_the_given_channels_are_blurred():
    seen = []

    def outputs_of(f):
        seen.append(f)
        return f.flatten(1)

    frames = torch.rand(1, 4, 20, 20)
    greydanus(outputs_of, frames, channels=slice(-1, None))
    perturbed = torch.cat(seen[1:])
    assert torch.equal(perturbed[:, :3], frames[:, :3].expand(len(perturbed), -1, -1, -1))
    assert (perturbed[:, 3] - frames[:, 3]).abs().max() > 0.05


def test_sarfa_is_zero_where_the_action_becomes_more_likely():
    frames = torch.ones(1, 1, 20, 20)
    frames[0, 0, 10, 10] = 50  # blurring takes from the brightest pixel

    def outputs_of(f):
        return torch.stack([-f[:, 0, 10, 10], torch.zeros(len(f))], 1)

    assert sarfa(outputs_of, frames, torch.tensor([0])).amax() == 0
    assert sarfa(outputs_of, frames, torch.tensor([1])).amax() == 1


def test_frames_that_do_not_change_have_dead_finite_maps(agent):
    grey = torch.full((2, 2, 40, 48), 90, dtype=torch.uint8)
    for method in (greydanus, sarfa):
        assert torch.equal(method(lambda f: agent(f).logits, grey), torch.zeros(2, 40, 48))


def test_the_agent_is_left_as_it_was(agent, frames):
    agent.train()
    greydanus(lambda f: agent(f).logits, frames, stride=20)
    assert agent.training and all(p.grad is None for p in agent.parameters())


def test_sarfa_needs_two_actions(frames):
    with pytest.raises(ValueError, match="greydanus"):
        sarfa(lambda f: f.float().mean(dim=(2, 3))[:, :1], frames)
