"""Every loss on degenerate and random input: finite losses, finite gradients, sample by sample."""

import pytest
import torch

from rl_attn.attention import camal, normalize
from rl_attn.attention import losses as L

H, W = 4, 5

#: (attention, mask) -> (B,)
ON_MAPS = {
    "camal": camal,
    "camal_suppress": lambda a, m: camal(a, m, empty_mask="suppress"),
    "suppress_l1": L.suppress_only,
    "suppress_l2": lambda a, m: L.suppress_only(a, m, "l2"),
    "kl_released": L.kl_alignment,
    "kl_printed": lambda a, m: L.kl_alignment(a, m, "printed"),
    "gaze": L.coverage_gaze,
    "gradia": L.gradia,
    "hint": L.hint,
    "haics": L.haics,
    "haics_signed": lambda a, m: L.haics(a, L.signed_labels(m)),
    "haics_released": lambda a, m: L.haics(a, L.signed_labels(m), "released"),
    "res_g": lambda a, m: L.res_g(a, m, threshold=0.4),
    "res_g_signed": lambda a, m: L.res_g(a, L.signed_labels(m), threshold=0.4),
    "gals_match": L.gals_attention,
    "gals_outside": lambda a, m: L.gals_attention(a, m, "outside"),
    "rrr_g": L.rrr,
    "entropy": L.entropy,
}
#: (attribution (B, C, H, W), mask) -> (B,)
ON_GRADIENTS = {
    "rrr": L.rrr,
    "gals_outside": L.gals_gradient,
    "gals_inside": lambda g, m: L.gals_gradient(g, m, "inside"),
    "rbr": lambda g, m: L.rbr(g, g.flip(1), m),
}


def maps():
    one = torch.zeros(H, W)
    one[1, 2] = 1
    ramp = torch.linspace(0, 1, H * W).view(H, W)
    return {
        "dead": torch.zeros(H, W),
        "full": torch.ones(H, W),
        "constant": torch.full((H, W), 0.3),
        "one": one,
        "all but one": 1 - one,
        "ramp": ramp,
        "tiny": 1e-30 * ramp,
        "subnormal": torch.full((H, W), 1e-42),
        "nearly dead": 1e-8 * one,
    }


def masks():
    one = torch.zeros(2 * H, 2 * W)
    one[3, 4] = 1
    soft = torch.rand(2 * H, 2 * W, generator=torch.Generator().manual_seed(0))
    return {
        "empty": torch.zeros(2 * H, 2 * W),
        "full": torch.ones(2 * H, 2 * W),
        "one": one,
        "all but one": 1 - one,
        "soft": soft,
        "faint": 1e-12 * soft,
        "even": torch.full((2 * H, 2 * W), 0.5),
    }


@pytest.mark.parametrize("name", ON_MAPS)
@pytest.mark.parametrize("mask", masks())
def test_map_losses_are_finite_on_every_pair_of_degenerate_inputs(name, mask):
    attention = torch.stack(list(maps().values())).requires_grad_()
    loss = ON_MAPS[name](attention, masks()[mask].expand(len(attention), -1, -1))
    (gradient,) = torch.autograd.grad(loss.sum(), attention)
    assert loss.shape == (len(attention),)
    assert loss.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("name", ON_MAPS)
@pytest.mark.parametrize("method", ["max", "minmax"])
@pytest.mark.parametrize("mask", ["empty", "full", "one", "soft"])
def test_they_stay_finite_through_the_normalisation_of_degenerate_maps(name, method, mask):
    raw = torch.stack([maps()[key] for key in ("dead", "full", "one", "ramp", "constant")])
    raw.requires_grad_()
    loss = ON_MAPS[name](normalize(raw, method), masks()[mask].expand(len(raw), -1, -1))
    (gradient,) = torch.autograd.grad(loss.sum(), raw)
    assert loss.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("name", ON_GRADIENTS)
@pytest.mark.parametrize("mask", masks())
@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 1e6])
def test_gradient_losses_are_finite(name, mask, scale):
    generator = torch.Generator().manual_seed(0)
    attribution = scale * torch.randn(3, 2, H, W, generator=generator)
    attribution.requires_grad_()
    loss = ON_GRADIENTS[name](attribution, masks()[mask].expand(3, -1, -1))
    (gradient,) = torch.autograd.grad(loss.sum(), attribution)
    assert loss.shape == (3,)
    assert loss.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("seed", range(10))
def test_random_maps_of_random_shapes_and_masks(seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(high):
        return int(torch.randint(1, high, (), generator=generator))

    size, grid, number = (draw(20), draw(20)), (draw(9), draw(9)), draw(5)
    sharpness = 10.0 ** (4 * torch.rand((), generator=generator) - 2)
    raw = torch.rand(number, *grid, generator=generator).pow(sharpness).requires_grad_()
    share = torch.rand(number, 1, 1, generator=generator)
    mask = (torch.rand(number, *size, generator=generator) < share).float()
    for name, loss in ON_MAPS.items():
        value = loss(normalize(raw), mask)
        (gradient,) = torch.autograd.grad(value.sum(), raw)
        assert value.shape == (number,), name
        assert value.isfinite().all() and gradient.isfinite().all(), name


@pytest.mark.parametrize("name", ON_MAPS)
def test_a_batch_is_its_samples(name):
    attention = torch.stack(list(maps().values()))
    every = list(masks().values())
    mask = torch.stack([every[i % len(every)] for i in range(len(attention))])
    loss = ON_MAPS[name]
    singly = torch.cat([loss(attention[b : b + 1], mask[b : b + 1]) for b in range(len(mask))])
    torch.testing.assert_close(loss(attention, mask), singly)


@pytest.mark.parametrize("name", ON_MAPS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float64])
def test_masks_of_any_type_give_the_same(name, dtype):
    attention = torch.stack([maps()["ramp"], maps()["one"]])
    mask = (masks()["soft"] > 0.5).float().expand(2, -1, -1)
    found = ON_MAPS[name](attention, mask.to(dtype))
    torch.testing.assert_close(found.float(), ON_MAPS[name](attention, mask))


@pytest.mark.parametrize("name", [n for n in ON_MAPS if n not in ("camal_suppress", "entropy")])
def test_losses_have_the_gradient_that_differences_show(name):
    generator = torch.Generator().manual_seed(3)
    attention = 0.1 + 0.8 * torch.rand(2, H, W, generator=generator, dtype=torch.double)
    mask = (torch.rand(2, 2 * H, 2 * W, generator=generator, dtype=torch.double) > 0.6).double()
    assert torch.autograd.gradcheck(lambda a: ON_MAPS[name](a, mask), attention.requires_grad_())


@pytest.mark.parametrize("name", ["rrr_score", "cdep"])
def test_extreme_logits(name):
    logits = torch.tensor([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = L.rrr_score(logits) if name == "rrr_score" else L.cdep(logits, -logits)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.isfinite().all() and gradient.isfinite().all()
