"""A weight on input gradients means the same whatever the images were normalised by."""

import pytest
import torch

from rl_attn.supervised.methods.input_gradient import InputGradientMethod, scale_of


@pytest.mark.parametrize(
    "unit, expected",
    [("byte", 127.5), ("unit", 0.5), ("imagenet", 0.5 / 0.229), ("input", None)],
)
def test_the_units_by_hand(unit, expected):
    scale = scale_of(torch.full((3,), 0.5), unit)
    assert scale is expected or scale[0].item() == pytest.approx(expected)


def test_raw_pixels_stay_what_they_are():
    """RRR's own variant of DecoyMNIST is not normalised at all: std is 1/255 of [0, 1]."""
    assert scale_of(torch.full((1,), 1 / 255), "byte").item() == 1


@pytest.mark.parametrize("unit", ["byte", "unit", "imagenet"])
def test_the_gradient_does_not_depend_on_the_normalisation(unit):
    torch.manual_seed(0)
    images, weights = torch.rand(2, 3, 4, 4), torch.randn(3, 4, 4)
    found = []
    for mean, std in ((0.0, 1 / 255), (0.5, 0.5), (0.4, 0.2)):
        method = InputGradientMethod(unit=unit)
        method.scale = scale_of(torch.full((3,), std), unit)
        x = ((images - mean) / std).requires_grad_()
        score = ((x * std + mean).square() * weights).sum((1, 2, 3))  # of the images themselves
        found.append(method.gradient(score, x).detach())
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])
