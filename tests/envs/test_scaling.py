"""Scaling by area: hand-computed, means, and no target lost."""

import numpy as np
import pytest

from rl_attn.envs.scaling import Area, parse_size
from rl_attn.errors import UserError


def test_by_hand():
    frame = np.array([[0, 30, 90], [60, 30, 0]], np.uint8)[..., None]
    # Three columns onto two: each takes one and a half; two rows onto one.
    assert Area((2, 3), (1, 2)).frame(frame)[..., 0].tolist() == [[30, 40]]
    assert Area((2, 3), (4, 3)).frame(frame)[:, 1, 0].tolist() == [30] * 4
    mask = np.array([[0, 0, 1], [0, 0, 0]], np.uint8)
    assert Area((2, 3), (1, 2)).mask(mask).tolist() == [[0, 1]]
    assert Area((2, 3), (1, 2)).mask(np.array([[0, 1, 0]] * 2, np.uint8)).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *(((12, 16), (9, 7)), ((24, 32), (11, 10)), ((7, 9), (3, 9))),
        *(((6, 20), (8, 8)), ((50, 9), (12, 21)), ((5, 4), (7, 9))),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_pixel_is_the_mean_of_what_it_covers(source, target, channels):
    frame = np.random.default_rng(0).integers(256, size=(*source, channels), dtype=np.uint8)
    finer = frame.repeat(target[0], axis=0).repeat(target[1], axis=1).astype(float)
    parts = finer.reshape(target[0], source[0], target[1], source[1], channels)
    ours = Area(source, target).frame(frame)
    assert abs(ours - parts.mean(axis=(1, 3))).max() <= 0.51


def test_the_same_size_changes_nothing_and_white_stays_white():
    frame = np.random.default_rng(0).integers(256, size=(6, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Area((6, 8), (6, 8)).frame(frame), frame)
    assert (Area((480, 640), (84, 84)).frame(np.full((480, 640, 1), 255, np.uint8)) == 255).all()


def test_no_target_vanishes():
    area = Area((120, 160), (9, 7))
    for row, column in np.random.default_rng(0).integers([120, 160], size=(50, 2)):
        mask = np.zeros((120, 160), np.uint8)
        mask[row, column] = 1
        assert area.mask(mask)[row * 9 // 120, column * 7 // 160] == 1


def test_sizes_are_width_times_height():
    assert parse_size("") is None and parse_size("84x64") == (64, 84)
    for text in ("84", "84x", "x84", "84x0", "-1x84", "84X64", "9999x84"):
        with pytest.raises(UserError, match="--frame-size"):
            parse_size(text)
