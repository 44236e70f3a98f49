"""Eq. 2 of VAPL: monotone, and exact at both ends."""

from math import log, tanh

import pytest
import torch

from rl_attn.supervised.weighting import MaskWeighting


def disturbed(seed: int = 0) -> MaskWeighting:
    """Weights far from where they begin, of either sign."""
    weighting = MaskWeighting()
    generator = torch.Generator().manual_seed(seed)
    for parameter in weighting.parameters():
        parameter.data = 1.5 * torch.randn(parameter.shape, generator=generator)
    return weighting


def test_by_hand():
    """One pair: g(x) = e^b1 tanh(e^a1 x) + e^b2 (e^a2 x - tanh(e^a2 x))."""
    weighting = MaskWeighting(pairs=1)
    weighting.hidden.data = torch.tensor([log(2.0), 0.0])
    weighting.output.data = torch.tensor([log(3.0), log(0.5)])
    expected = 3 * tanh(1.0) + 0.5 * (0.5 - tanh(0.5))
    assert weighting(torch.tensor(0.5)).item() == pytest.approx(expected, abs=1e-6)


def test_it_begins_as_the_identity():
    x = torch.linspace(0, 1, 33).view(3, 11)
    torch.testing.assert_close(MaskWeighting()(x), x)


@pytest.mark.parametrize("seed", range(3))
def test_it_never_decreases_and_keeps_zero_whatever_its_weights(seed):
    values = disturbed(seed)(torch.linspace(0, 1, 1001))
    assert values[0] == 0 and (values.diff() >= 0).all()


@pytest.mark.parametrize("power", [0.3, 3.0])
def test_it_learns_concave_and_convex_weights_and_keeps_one(power):
    """With lambda_3 = 10 the ends are exact to 1e-2 after training, from g(1) = 1.5."""
    weighting, x = MaskWeighting(), torch.linspace(0, 1, 64)
    weighting.output.data += log(1.5)
    adam = torch.optim.Adam(weighting.parameters(), 0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(adam, 1, 0.001, 400)
    for _ in range(400):
        error = (weighting(x) - x**power).square().mean() + 10 * weighting.end_error()
        adam.zero_grad()
        error.backward()
        adam.step()
        schedule.step()
    values = weighting(x)
    assert values[0] == 0 and abs(values[-1] - 1) < 1e-2
    wanted = x**power
    assert (values - wanted).square().mean() < 0.5 * (x - wanted).square().mean()
    assert (values.diff() >= 0).all()
