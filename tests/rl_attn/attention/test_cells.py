import pytest
import torch
import torch.nn.functional as F

from rl_attn.agents import ActorCritic
from rl_attn.attention import (
    Attention,
    alpha_beta,
    camal,
    iou_ceiling,
    mask_weights,
    pool_mask,
    resize_mask,
    upsample,
)

CELLS = (17.5, 8.0)


@pytest.mark.parametrize("tap", ["conv1", "conv2", "conv3"])
def test_a_cell_lies_amid_the_pixels_that_move_it(tap):
    """Measured: the pixels by which a cell of the agent's features has a gradient."""
    torch.manual_seed(0)
    agent = ActorCritic(1, (60, 76), 3, tap)
    for parameter in agent.convolutions.parameters():
        parameter.data.abs_()  # no ReLU may cut a path
    pixels = torch.rand(1, 1, 60, 76, requires_grad=True)
    features, _ = agent._features(pixels)
    first, step = agent.cells
    for row, column in ((0, 0), (1, 2), (features.shape[2] - 1, features.shape[3] - 1)):
        (gradient,) = torch.autograd.grad(
            features[0, :, row, column].sum(), pixels, retain_graph=True
        )
        rows, columns = (gradient[0, 0].abs().sum(axis).nonzero()[:, 0] for axis in (1, 0))
        assert (rows[0] + rows[-1]).item() / 2 == first + row * step
        assert (columns[0] + columns[-1]).item() / 2 == first + column * step


def test_upsampling_is_linear_between_the_centres_and_constant_beyond():
    attention = torch.tensor([[[0.0, 1.0, 0.5]]])
    cells = (1.0, 2.0)  # centres at pixels 1, 3, 5
    expected = [0.0, 0.0, 0.5, 1.0, 0.75, 0.5, 0.5, 0.5]
    assert upsample(attention, (1, 8), cells)[0, 0].tolist() == expected


def test_cells_that_cover_the_picture_evenly_are_the_stretched_ones():
    torch.manual_seed(0)
    attention, mask = torch.rand(3, 5, 7), (torch.rand(3, 40, 56) > 0.9).float()
    cells = (3.5, 8.0)  # 8 pixels a cell
    torch.testing.assert_close(upsample(attention, (40, 56), cells), upsample(attention, (40, 56)))
    for placed, stretched in zip(
        mask_weights(mask, (5, 7), cells), mask_weights(mask, (5, 7)), strict=True
    ):
        torch.testing.assert_close(placed, stretched)
    for mode in ("area", "max"):
        pooled = pool_mask(mask, (5, 7), cells, mode)
        torch.testing.assert_close(pooled, resize_mask(mask, (5, 7), mode))
    torch.testing.assert_close(iou_ceiling(mask, (5, 7), cells=cells), iou_ceiling(mask, (5, 7)))


def test_weights_at_the_cells_are_eq_1_on_the_upsampled_map():
    torch.manual_seed(0)
    attention, mask = torch.rand(4, 11, 16), (torch.rand(4, 120, 160) > 0.95).float()
    alpha, beta = alpha_beta(attention, mask_weights(mask, (11, 16), CELLS))
    full = upsample(attention, (120, 160), CELLS)
    inside = (full * mask).sum((1, 2)) / mask.sum((1, 2))
    outside = (full * (1 - mask)).sum((1, 2)) / (1 - mask).sum((1, 2))
    torch.testing.assert_close(alpha, inside)
    torch.testing.assert_close(beta, outside)
    torch.testing.assert_close(camal(Attention(attention, CELLS), mask), outside - inside)


def test_pixels_belong_to_the_nearest_cell():
    mask = torch.zeros(1, 1, 8)
    mask[0, 0, 4] = 1.0
    cells = (1.0, 2.0)  # own pixels 0..2 (the lower one in a tie), 3..4 and 5..7
    assert pool_mask(mask, (1, 3), cells, "area").tolist() == [[[0.0, 0.5, 0.0]]]
    assert pool_mask(mask, (1, 3), cells, "max").tolist() == [[[0.0, 1.0, 0.0]]]


def test_pooling_keeps_the_largest_value_and_takes_any_dtype():
    torch.manual_seed(0)
    mask = torch.rand(2, 120, 160, dtype=torch.float64)
    pooled = pool_mask(mask, (11, 16), CELLS, "max")
    assert pooled.dtype == torch.float64 and pooled.amax() == mask.amax()
    assert pool_mask((mask > 0.5).to(torch.uint8), (11, 16), CELLS).dtype == torch.float32


def test_the_map_of_a_placed_target_peaks_on_it():
    """Stretched, the peak of a map whose cell sees the target lies beside it."""
    features = F.one_hot(torch.tensor(0), 16).float().expand(1, 1, 16)  # the first cell alone
    placed = upsample(features, (1, 160), CELLS)[0, 0]
    assert placed[18] > 0.9 and placed[26] < 0.1
    stretched = upsample(features, (1, 160))[0, 0]
    assert stretched[18] < 0.0001
