import numpy as np
import pytest

from rl_attn.pictures import grid, heat, side_by_side

H, W = 12, 16


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(60, 256, (H, W, 1), np.uint8)


@pytest.fixture
def mask():
    mask = np.zeros((H, W), np.uint8)
    mask[3:6, 4:9] = 1
    return mask


def panels(picture, scale=1):
    """The three panels, without the gaps."""
    width, gap = scale * W, 2
    assert picture.shape == (scale * H, 3 * width + 2 * gap, 3)
    return [picture[:, k * (width + gap) : k * (width + gap) + width] for k in range(3)]


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "rgb"])
@pytest.mark.parametrize("scale", [1, 3])
def test_side_by_side_is_one_rgb_picture_that_begins_with_the_frame(mask, scale, channels):
    frame = np.random.default_rng(0).integers(0, 256, (H, W, channels), np.uint8)
    picture = side_by_side(frame, mask, np.zeros((H, W)), scale)
    assert picture.dtype == np.uint8
    first, _, _ = panels(picture, scale)
    large = frame.repeat(scale, axis=0).repeat(scale, axis=1)
    np.testing.assert_array_equal(first, np.broadcast_to(large, first.shape))


def test_gaps_between_panels_are_white(frame, mask):
    picture = side_by_side(frame, mask, np.zeros((H, W)), 1)
    assert (picture[:, W : W + 2] == 255).all()
    assert (picture[:, 2 * W + 2 : 2 * W + 4] == 255).all()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
@pytest.mark.parametrize("scale", [1, 2])
def test_the_mask_is_drawn_where_it_is_and_nowhere_else(frame, mask, scale, dtype):
    picture = side_by_side(frame, mask.astype(dtype), np.zeros((H, W)), scale)
    plain, masked, _ = panels(picture, scale)
    changed = (plain != masked).any(axis=2)
    on = mask.repeat(scale, axis=0).repeat(scale, axis=1) > 0
    np.testing.assert_array_equal(changed, on)
    assert (masked[on][:, 1] > masked[on][:, 0]).all()  # in green


def test_an_empty_mask_changes_nothing(frame):
    picture = side_by_side(frame, np.zeros((H, W)), np.zeros((H, W)), 1)
    plain, masked, _ = panels(picture)
    np.testing.assert_array_equal(plain, masked)


def test_a_full_mask_is_drawn_everywhere(frame):
    picture = side_by_side(frame, np.ones((H, W)), np.zeros((H, W)), 1)
    plain, masked, _ = panels(picture)
    assert (plain != masked).any(axis=2).all()


def test_attention_is_bright_where_it_is_high():
    attention = np.zeros((H, W))
    attention[:, 8:] = 1
    picture = heat(np.full((H, W, 3), 60, np.uint8), attention)
    assert picture.dtype == np.uint8 and picture.shape == (H, W, 3)
    low, high = picture[:, :8], picture[:, 8:]
    assert low.max() < 60 < high.min()
    # inferno ends in (252, 255, 164): 0.15 * 60 + 0.85 * (252, 255, 164)
    np.testing.assert_allclose(high[0, 0], [223, 226, 148], atol=2)
    np.testing.assert_allclose(low[0, 0], [45, 45, 46], atol=2)  # 0.75 * 60 + 0.25 * about 0


def test_colours_are_in_the_order_of_rgb():
    picture = heat(np.zeros((H, W, 3), np.uint8), np.full((H, W), 0.7))
    red, green, blue = picture[0, 0].astype(int)  # inferno is orange there
    assert red > green > blue


def test_a_coarse_map_is_spread_over_the_picture():
    picture = heat(np.zeros((H, W, 3), np.uint8), np.array([[0.0, 1.0]]))
    brightness = picture.astype(int).sum(axis=2)
    assert picture.shape == (H, W, 3)
    assert (np.diff(brightness, axis=1) >= 0).all() and brightness[0, -1] > brightness[0, 0]


def test_attention_outside_the_unit_interval_is_cut():
    rgb = np.full((H, W, 3), 60, np.uint8)
    np.testing.assert_array_equal(heat(rgb, np.full((H, W), 7.0)), heat(rgb, np.ones((H, W))))
    np.testing.assert_array_equal(heat(rgb, np.full((H, W), -7.0)), heat(rgb, np.zeros((H, W))))


def test_inputs_are_left_alone(frame, mask):
    attention = np.random.default_rng(0).random((H, W)).astype(np.float32)
    before = [array.copy() for array in (frame, mask, attention)]
    side_by_side(frame, mask, attention, scale=2)
    for now, then in zip((frame, mask, attention), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_grid_stacks_pictures_with_gaps(number):
    rows = [np.full((4, 9, 3), 10 * k, np.uint8) for k in range(number)]
    picture = grid(rows)
    assert picture.shape == (4 * number + 2 * (number - 1), 9, 3) and picture.dtype == np.uint8
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(picture[6 * k : 6 * k + 4], row)
        assert (picture[6 * k + 4 : 6 * k + 6] == 255).all()
