import pytest
import torch

from rl_attn.attention import Attention, iou, iou_ceiling, measure, pointing_game, upsample
from rl_attn.attention.metrics import SpatialVariance, energy_inside, iou_curve


def test_iou_by_hand():
    attention = torch.tensor(
        [
            [[0.9, 0.8, 0.1], [0.0, 1.0, 0.2]],  # attended: (0,0) (0,1) (1,1)
            [[0.9, 0.8, 0.1], [0.0, 1.0, 0.2]],
            [[0.9, 0.8, 0.1], [0.0, 1.0, 0.2]],
        ]
    )
    mask = torch.tensor(
        [
            [[0, 1, 1], [0, 1, 0]],  # two of four
            [[1, 1, 0], [0, 1, 0]],  # the very same
            [[0, 0, 1], [1, 0, 1]],  # the others
        ]
    )
    assert iou(attention, mask).tolist() == [0.5, 1.0, 0.0]


def test_iou_counts_what_lies_above_the_threshold_not_at_it():
    attention = torch.tensor([[[0.7, 0.71, 0.69, 0.0]]])
    mask = torch.tensor([[[1, 1, 1, 0]]])
    torch.testing.assert_close(iou(attention, mask), torch.tensor([1 / 3]))
    torch.testing.assert_close(iou(attention, mask, threshold=0.695), torch.tensor([2 / 3]))
    torch.testing.assert_close(iou(attention, mask, threshold=0.5), torch.tensor([1.0]))


def test_iou_of_empty_full_and_dead():
    attention = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]], [[1.0, 1.0]]])
    mask = torch.tensor([[[0, 0]], [[1, 1]], [[0, 0]], [[1, 1]]])
    assert iou(attention, mask).tolist() == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32], ids=str)
def test_every_dtype_of_mask_counts_the_same(dtype):
    generator = torch.Generator().manual_seed(0)
    attention = torch.rand(4, 5, 6, generator=generator)
    mask = torch.rand(4, 5, 6, generator=generator) > 0.5
    assert torch.equal(iou(attention, mask.to(dtype)), iou(attention, mask))
    assert torch.equal(pointing_game(attention, mask.to(dtype)), pointing_game(attention, mask))
    assert torch.equal(iou_ceiling(mask.to(dtype), (2, 3)), iou_ceiling(mask, (2, 3)))


def test_iou_is_symmetric_in_its_two_sets():
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(2, 4, 5, 6, generator=generator) > 0.5).float()
    assert torch.equal(iou(one, other), iou(other, one))


def test_pointing_game_by_hand():
    attention = torch.tensor(
        [[[0.1, 1.0], [0.3, 0.9]], [[0.1, 1.0], [0.3, 0.9]], [[0.2, 0.0], [0.0, 0.1]]]
    )
    mask = torch.tensor([[[0, 1], [0, 0]], [[1, 0], [1, 1]], [[1, 0], [0, 0]]])
    assert pointing_game(attention, mask).tolist() == [1.0, 0.0, 1.0]


def test_a_dead_map_points_nowhere():
    assert pointing_game(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)).tolist() == [0.0]


def test_an_empty_mask_is_never_hit():
    assert pointing_game(torch.ones(1, 2, 2), torch.zeros(1, 2, 2)).tolist() == [0.0]


def test_ties_go_to_the_first_pixel_in_reading_order():
    attention = torch.tensor([[[0.0, 1.0], [1.0, 0.5]]])
    assert pointing_game(attention, torch.tensor([[[0, 1], [0, 0]]])).tolist() == [1.0]
    assert pointing_game(attention, torch.tensor([[[0, 0], [1, 0]]])).tolist() == [0.0]


def test_ceiling_is_one_where_the_grid_is_the_masks_own():
    mask = torch.zeros(2, 4, 6)
    mask[0, 1, 2], mask[1, 0:3, 1:4] = 1, 1
    assert iou_ceiling(mask, (4, 6)).tolist() == [1.0, 1.0]


def test_ceiling_of_whole_columns_of_cells_is_one():
    mask = torch.zeros(2, 8, 8)
    mask[0, :, :4] = 1  # upsampled, a row falls 1, 1, 1, 3/4 | 1/4, 0, 0, 0
    mask[1] = 1
    assert iou_ceiling(mask, (4, 4)).tolist() == [1.0, 1.0]


def test_ceiling_of_one_corner_cell_by_hand():
    mask = torch.zeros(1, 8, 8)
    mask[0, :2, :2] = 1
    # The corner's cell upsampled: 1 and 3/4 along the border, 9/16 at its inner pixel, which is
    # below the threshold; three of four pixels are left.
    assert iou_ceiling(mask, (4, 4)).tolist() == [0.75]


def test_ceiling_takes_the_better_of_area_and_max_pooling():
    mask = torch.zeros(1, 4, 8)
    mask[0, :, :4], mask[0, 0, 4:] = 1, 1
    # Cells of 4 x 4: area pooling gives 1 and 1/4, upsampled 1, 1, 29/32, 23/32 | ..., so the left
    # cell is attended (columns 0 to 3); max pooling attends everything.
    assert iou_ceiling(mask, (1, 2)).item() == pytest.approx(max(16 / 20, 20 / 32))


def test_ceiling_of_a_target_smaller_than_a_cell_by_hand():
    mask = torch.zeros(1, 12, 12)
    mask[0, 5, 5] = 1
    # One cell of 4 x 4 upsampled: its inner 2 x 2 pixels keep (7/8)^2 = 0.77 of it, those beside
    # them 7/8 * 5/8 = 0.55; the target is one of the four that are attended.
    assert iou_ceiling(mask, (3, 3)).tolist() == [0.25]


def test_ceiling_of_an_empty_mask_is_zero():
    assert iou_ceiling(torch.zeros(1, 12, 16), (3, 4)).tolist() == [0.0]


def test_ceiling_is_at_least_the_iou_of_the_pooled_mask():
    mask = (torch.rand(6, 24, 32, generator=torch.Generator().manual_seed(0)) > 0.8).float()
    mask[:, 4:12, 8:16] = 1
    pooled = torch.nn.functional.adaptive_avg_pool2d(mask[:, None], (3, 4))[:, 0]
    pooled = pooled / pooled.amax(dim=(1, 2), keepdim=True)
    assert (iou_ceiling(mask, (3, 4)) >= iou(upsample(pooled, (24, 32)), mask)).all()


def test_metrics_carry_no_gradient():
    attention = torch.rand(2, 4, 5, requires_grad=True)
    mask = torch.ones(2, 4, 5)
    results = iou(attention, mask), pointing_game(attention, mask), iou_ceiling(mask, (2, 2))
    assert not any(result.requires_grad for result in results)
    assert all(result.shape == (2,) for result in results)


@pytest.mark.parametrize("metric", [iou, pointing_game])
@pytest.mark.parametrize("mask", [(2, 120, 160), (3, 11, 16), (11, 16)])
def test_another_shape_is_refused_with_both_shapes(metric, mask):
    with pytest.raises(ValueError) as error:
        metric(torch.rand(2, 11, 16), torch.zeros(mask))
    assert "(2, 11, 16)" in str(error.value) and str(mask) in str(error.value)


# --------------------------------------------------------------------- thresholds, energy, maps


def random_case(number=5, size=(13, 9)):
    generator = torch.Generator().manual_seed(0)
    attention = torch.rand(number, *size, generator=generator)
    mask = (torch.rand(number, *size, generator=generator) > 0.7).float()
    return attention, mask


def test_iou_curve_is_iou_at_each_threshold():
    attention, mask = random_case()
    attention[0], attention[1, :3], mask[2] = 0, 0.5, 0
    thresholds = torch.tensor([0.0, 0.25, 0.5, 0.5, 0.7, 1.0])
    expected = torch.stack([iou(attention, mask, t) for t in thresholds.tolist()], 1)
    torch.testing.assert_close(iou_curve(attention, mask, thresholds), expected)


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        iou_curve(*random_case(), torch.tensor([0.5, 0.2]))


def test_energy_inside_by_hand():
    attention = torch.tensor([[[0.5, 0.25], [0.25, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[[1, 0], [1, 0]], [[1, 0], [1, 0]]])
    assert energy_inside(attention, mask).tolist() == [0.75, 0.0]


def test_energy_inside_does_not_depend_on_the_maps_scale():
    attention, mask = random_case()
    torch.testing.assert_close(energy_inside(attention, mask), energy_inside(3 * attention, mask))


def test_spatial_variance_of_batches_is_that_of_all_maps():
    attention, _ = random_case(23)
    variance = SpatialVariance()
    for batch in (attention[:1], attention[1:9], attention[9:]):
        variance.add(batch)
    assert variance.count == 23
    torch.testing.assert_close(variance.value, attention.double().var(0, correction=0))
    torch.testing.assert_close(variance.mean, attention.double().mean(0))


def test_spatial_variance_is_not_fooled_by_a_large_mean():
    variance = SpatialVariance()
    for value in (0.0, 1.0):
        variance.add(torch.full((4, 1, 1), 1e4 + value))
    assert variance.value.item() == pytest.approx(0.25)


def test_spatial_variance_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no maps"):
        _ = SpatialVariance().value


# ---------------------------------------------------------------------- what is no attention


@pytest.mark.parametrize("cell", [-1.0, -1e-9, torch.nan, torch.inf], ids=str)
def test_a_signed_map_or_one_with_nan_has_no_value(cell):
    attention = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]] * 2)
    attention[0, 0, 1] = cell
    mask = torch.tensor([[[1, 0], [0, 0]]] * 2)
    values = {
        "iou": iou(attention, mask),
        "energy_inside": energy_inside(attention, mask),
        "pointing_game": pointing_game(attention, mask),
        "curve": iou_curve(attention, mask, torch.tensor([0.0, 0.5])).amin(1),
    }
    right = {"iou": 0.5, "energy_inside": 0.5, "pointing_game": 1, "curve": 0.5}
    for name, (broken, whole) in values.items():
        assert broken.isnan() and whole.item() == pytest.approx(right[name]), name


def test_measure_judges_the_maps_cells_and_not_the_pixels_between_them():
    cells = torch.tensor([[[0.2, -0.1, 0.3]], [[1.0, 0.0, 0.0]]])  # 3 cells, seen by 2 pixels
    attention, mask = Attention(cells, (0.0, 2.0)), torch.tensor([[[1, 0]]] * 2)
    whole = measure(attention, mask, known=torch.tensor([[[True, False]]] * 2))
    for name, (broken, sound) in whole.items():
        assert name == "present" or (broken.isnan() and sound.isfinite()), name
    assert whole["present"].tolist() == [True, True] and whole["iou"][1] == 1


@pytest.mark.parametrize(
    "metric",
    [
        *(iou, energy_inside, pointing_game),
        lambda attention, mask: iou_curve(attention, mask, torch.tensor([0.2, 0.7])),
        lambda attention, mask: iou_ceiling(mask, (2, 2)),
    ],
)
def test_masks_of_255_count_as_ones_and_labels_are_refused(metric):
    mask = torch.zeros(1, 4, 4)
    mask[:, :3, 1:] = 1
    attention = torch.linspace(0, 1, 16).view(1, 4, 4)
    assert torch.equal(metric(attention, (mask * 255).byte()), metric(attention, mask))
    with pytest.raises(ValueError, match="goes from 0 to 3"):
        metric(attention, (mask * 3).byte())
