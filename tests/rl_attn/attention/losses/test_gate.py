"""Masks have a unit: every loss takes what pictures of masks hold, and refuses what is no mask."""

import pytest
import torch

from rl_attn.attention import (
    camal,
    coverage_gaze,
    gals_attention,
    gals_gradient,
    gradia,
    haics,
    hint,
    kl_alignment,
    mask_weights,
    rbr,
    res_g,
    rrr,
    signed_labels,
    suppress_only,
)

OF_MAPS = {
    "camal": camal,
    "suppress_only": suppress_only,
    "kl_alignment": kl_alignment,
    "coverage_gaze": coverage_gaze,
    "gradia": gradia,
    "hint": hint,
    "gals_attention": gals_attention,
    "haics": lambda a, mask: haics(a, signed_labels(mask)),
    "res_g": lambda a, mask: res_g(a, signed_labels(mask)),
}
OF_GRADIENTS = {
    "rrr": rrr,
    "gals_gradient": gals_gradient,
    "rbr": lambda gradient, mask: rbr(gradient, gradient, mask),
}


def square() -> torch.Tensor:
    """`cases/attention/uint8_masks_to_losses.py`."""
    mask = torch.zeros(2, 32, 32)
    mask[:, 8:20, 8:20] = 1
    return mask


@pytest.mark.parametrize("kind", ["0 and 255", "bool", "0 and 1", "float64"])
@pytest.mark.parametrize("name", [*OF_MAPS, *OF_GRADIENTS])
def test_masks_as_they_are_stored_mean_the_same(name, kind):
    mask = square()
    stored = {
        "0 and 255": (mask * 255).byte(),
        "bool": mask.bool(),
        "0 and 1": mask.long(),
        "float64": mask.double(),
    }[kind]
    torch.manual_seed(0)
    about = torch.rand(2, 8, 8) if name in OF_MAPS else torch.randn(2, 3, 32, 32)
    loss = (OF_MAPS | OF_GRADIENTS)[name]
    torch.testing.assert_close(loss(about, stored), loss(about, mask), check_dtype=False)


@pytest.mark.parametrize("bad", [torch.full((2, 32, 32), 3), square() * 255, square() * torch.nan])
@pytest.mark.parametrize("name", [*OF_MAPS, *OF_GRADIENTS])
def test_what_has_no_unit_is_refused(name, bad):
    about = torch.rand(2, 8, 8) if name in OF_MAPS else torch.randn(2, 3, 32, 32)
    with pytest.raises(ValueError, match="mask"):
        (OF_MAPS | OF_GRADIENTS)[name](about, bad)


def test_by_hand():
    """A map of ones attends to all of a mask and to all else: camal is 0, what is outside 1."""
    ones, stored = torch.ones(2, 8, 8), (square() * 255).byte()
    zero, one = torch.zeros(2), torch.ones(2)
    torch.testing.assert_close(camal(ones, stored), zero, rtol=0, atol=1e-6)
    torch.testing.assert_close(suppress_only(ones, stored), one)
    torch.testing.assert_close(hint(ones, stored), one - 144 / 1024)  # the mask has 12 x 12 pixels
    torch.testing.assert_close(rrr(ones, stored), one * 55)  # of 64 cells 3 x 3 lie inside
    torch.testing.assert_close(mask_weights(stored, (8, 8)).outside.sum((1, 2)), one)
