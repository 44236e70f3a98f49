from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from rl_attn.attention import MaskWeights, mask_weights
from rl_attn.attention.masks import Resize, resize_mask

#: Mask sizes (H, W) and grids (h, w): the agent's, odd ones, one cell, finer than the mask.
SIZES = [
    ((120, 160), (11, 16)),
    ((240, 320), (26, 36)),
    ((56, 56), (7, 7)),
    ((13, 29), (3, 5)),
    ((6, 4), (6, 4)),
    ((5, 8), (1, 1)),
    ((4, 7), (9, 5)),
]


def adjoint(mask, grid):
    """U^T M by autograd: the gradient of sum((U h) * M) with respect to h."""
    cells = torch.zeros(len(mask), 1, *grid, dtype=torch.float64, requires_grad=True)
    large = F.interpolate(cells, size=mask.shape[1:], mode="bilinear", align_corners=False)
    (gradient,) = torch.autograd.grad((large[:, 0] * mask).sum(), cells)
    return gradient[:, 0]


def random_masks(size, number=3):
    generator = torch.Generator().manual_seed(sum(size))
    return (torch.rand(number, *size, generator=generator) > 0.7).float()


def test_at_the_masks_own_size_weights_are_the_mask_over_its_pixels():
    weights = mask_weights(torch.tensor([[[1, 0, 1], [0, 0, 0]]]), (2, 3))
    torch.testing.assert_close(weights.inside, torch.tensor([[[0.5, 0, 0.5], [0, 0, 0]]]))
    expected = torch.tensor([[[0, 0.25, 0], [0.25, 0.25, 0.25]]])
    torch.testing.assert_close(weights.outside, expected)
    assert weights.present.tolist() == [True]


def test_weights_on_a_coarser_grid_by_hand():
    # Two cells (a, b) become the pixels a, 3/4 a + 1/4 b, 1/4 a + 3/4 b, b.
    weights = mask_weights(torch.tensor([[[0, 0, 1, 1]], [[0, 1, 0, 0]]]), (1, 2))
    torch.testing.assert_close(weights.inside, torch.tensor([[[1 / 8, 7 / 8]], [[3 / 4, 1 / 4]]]))
    torch.testing.assert_close(
        weights.outside, torch.tensor([[[7 / 8, 1 / 8]], [[5 / 12, 7 / 12]]])
    )


@pytest.mark.parametrize(("size", "grid"), SIZES)
def test_weights_are_the_adjoint_of_bilinear_upsampling(size, grid):
    mask = random_masks(size)
    weights = mask_weights(mask, grid)
    inside = adjoint(mask, grid) / mask.sum(dim=(1, 2))[:, None, None]
    outside = adjoint(1 - mask, grid) / (1 - mask).sum(dim=(1, 2))[:, None, None]
    torch.testing.assert_close(weights.inside.double(), inside, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights.outside.double(), outside, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "grid"), SIZES)
def test_weights_are_non_negative_and_sum_to_one(size, grid):
    weights = mask_weights(random_masks(size), grid)
    for field in (weights.inside, weights.outside):
        assert field.shape == (3, *grid)
        assert field.min() >= -1e-7
        torch.testing.assert_close(field.sum(dim=(1, 2)), torch.ones(3))


def test_an_empty_mask_weighs_nothing_inside():
    weights = mask_weights(torch.zeros(1, 12, 16), (3, 4))
    assert torch.equal(weights.inside, torch.zeros(1, 3, 4))
    torch.testing.assert_close(weights.outside.sum(), torch.tensor(1.0))
    assert weights.present.tolist() == [False]


def test_a_full_mask_weighs_nothing_outside():
    weights = mask_weights(torch.ones(1, 13, 29), (3, 5))
    torch.testing.assert_close(weights.inside.sum(), torch.tensor(1.0))
    assert torch.equal(weights.outside, torch.zeros(1, 3, 5))
    assert weights.present.tolist() == [True]


def test_a_mask_of_one_pixel_weighs_the_cells_around_it():
    mask = torch.zeros(1, 8, 8)
    mask[0, 2, 3] = 1  # 1/8 from cell 1's centre in row, between cells 1 and 2 in column
    weights = mask_weights(mask, (4, 4))
    rows, columns = torch.tensor([0.25, 0.75, 0, 0]), torch.tensor([0, 0.75, 0.25, 0])
    torch.testing.assert_close(weights.inside[0], rows[:, None] * columns)


@pytest.mark.parametrize(
    "dtype",
    [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64],
    ids=str,
)
def test_any_dtype_gives_the_float32_weights(dtype):
    mask = torch.zeros(3, 240, 320)
    mask[0, 50:70, 60:90], mask[1, 5, 7] = 1, 1
    mask[2] = 1  # 76,800 pixels: more than float16 counts to
    expected, weights = mask_weights(mask, (26, 36)), mask_weights(mask.to(dtype), (26, 36))
    torch.testing.assert_close(weights.inside.float(), expected.inside, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(weights.outside.float(), expected.outside, rtol=1e-4, atol=1e-6)
    assert weights.present.tolist() == [True, True, True]


def test_autocast_does_not_touch_the_weights():
    mask = random_masks((120, 160))
    expected = mask_weights(mask, (11, 16))
    with torch.autocast("cpu", torch.bfloat16):
        weights = mask_weights(mask, (11, 16))
    assert torch.equal(weights.inside, expected.inside)
    assert torch.equal(weights.outside, expected.outside)


def test_soft_masks_are_weighed_by_their_values():
    weights = mask_weights(torch.tensor([[[0.5, 0.25], [0.25, 0.0]]]), (2, 2))
    torch.testing.assert_close(weights.inside, torch.tensor([[[0.5, 0.25], [0.25, 0.0]]]))
    torch.testing.assert_close(weights.outside, torch.tensor([[[0.5, 0.75], [0.75, 1.0]]]) / 3)


def test_the_callers_mask_is_not_changed():
    mask = random_masks((13, 29))
    before = mask.clone()
    mask_weights(mask, (3, 5))
    mask_weights(mask, (13, 29))
    assert torch.equal(mask, before)


@pytest.mark.parametrize(
    "index", [torch.tensor([3, 0, 3]), slice(1, 3), torch.tensor([True, False, False, True])]
)
def test_indexing_takes_the_rows_of_all_fields(index):
    masks = random_masks((13, 29), number=4)
    masks[0] = 0
    chosen = mask_weights(masks, (3, 5))[index]
    assert isinstance(chosen, MaskWeights)
    for ours, wanted in zip(chosen, mask_weights(masks[index], (3, 5)), strict=True):
        torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize("shape", [(8, 8), (2, 1, 8, 8)])
def test_a_mask_that_is_not_three_dimensional_is_refused(shape):
    with pytest.raises(ValueError) as error:
        mask_weights(torch.zeros(shape), (2, 2))
    assert str(shape) in str(error.value)


# ---------------------------------------------------------------------- resizing


def test_resizing_by_hand():
    mask = torch.tensor([[[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1]]])
    expected = {
        "area": [[0.25, 0.0], [1.0, 0.25]],
        "max": [[1.0, 0.0], [1.0, 1.0]],
        "bilinear": [[0.25, 0.0], [1.0, 0.25]],  # the mean of the four pixels round the centre
        "nearest": [[1.0, 0.0], [1.0, 0.0]],
    }
    for mode, values in expected.items():
        assert resize_mask(mask, (2, 2), mode).tolist() == [values], mode


def test_bilinear_and_nearest_can_miss_a_target_that_area_and_max_keep():
    mask = torch.zeros(1, 16, 16)
    mask[0, 3, 3] = 1  # cells of 4 x 4: bilinear looks at 1 and 2, nearest at 0
    kept = {mode: resize_mask(mask, (4, 4), mode).sum().item() > 0 for mode in get_args(Resize)}
    assert kept == {"area": True, "max": True, "bilinear": False, "nearest": False}


@pytest.mark.parametrize(("size", "grid"), SIZES)
def test_area_keeps_the_mean_where_cells_are_equal(size, grid):
    mask = random_masks(size)
    resized = resize_mask(mask, grid, "area")
    assert resized.shape == (3, *grid)
    if size[0] % grid[0] == 0 and size[1] % grid[1] == 0:
        torch.testing.assert_close(resized.mean(dim=(1, 2)), mask.mean(dim=(1, 2)))


@pytest.mark.parametrize("mode", ["area", "max", "bilinear", "nearest"])
def test_resizing_keeps_constants_and_its_own_size(mode):
    mask = random_masks((6, 7))
    assert resize_mask(mask, (6, 7), mode) is mask
    for fill in (0, 1):
        constant = torch.full((1, 6, 7), fill, dtype=torch.uint8)
        assert (resize_mask(constant, (4, 9), mode) == fill).all()


def test_unknown_modes_and_shapes_are_refused():
    with pytest.raises(ValueError, match="choose area, max, bilinear or nearest"):
        resize_mask(torch.zeros(1, 4, 4), (2, 2), "cubic")
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        resize_mask(torch.zeros(4, 4), (2, 2))
