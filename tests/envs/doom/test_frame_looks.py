"""A tint and noise are added to frames as numbers are, and cut at black and white."""

import numpy as np
import pytest

from rl_attn.envs.doom.frame_looks import overlay, overlays
from rl_attn.envs.doom.looks import Look


def test_a_tint_is_added_to_red_and_taken_from_blue():
    (added,) = overlays(Look(tint=0.5), (1, 3, 3))
    screen = np.array([[[10, 10, 10], [250, 250, 250], [100, 100, 100]]], np.uint8)
    frame = np.empty_like(screen)
    overlay(screen, added, frame)
    assert frame.tolist() == [[[50, 10, 0], [255, 250, 210], [140, 100, 60]]]


def test_a_grey_frame_becomes_darker_as_a_whole():
    (added,) = overlays(Look(tint=-0.25), (1, 3, 1))
    screen = np.array([[[10], [30], [255]]], np.uint8)
    frame = np.empty_like(screen)
    overlay(screen, added, frame)
    assert frame.ravel().tolist() == [0, 10, 235]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_frame_may_be_any_view_of_an_array(channels):
    (added,) = overlays(Look(tint=0.5), (4, 5, channels))
    screen = np.full((4, 5, channels), 90, np.uint8)
    whole = np.zeros((4, 10, channels), np.uint8)
    overlay(screen, added, whole[:, ::2])
    assert whole[:, ::2].reshape(-1, channels).tolist() == [[130, 90, 50][:channels]] * 20
    assert not whole[:, 1::2].any()


@pytest.mark.parametrize("shape", [(40, 30, 1), (40, 30, 3)])
def test_noise_has_its_deviation_and_another_frame_another_noise(shape):
    drawn = overlays(Look(tint=0.5, noise=8), shape)
    screen = np.full(shape, 128, np.uint8)
    frames = np.empty((len(drawn), *shape), np.uint8)
    for frame, added in zip(frames, drawn, strict=True):
        overlay(screen, added, frame)
    tint = np.array((40, 0, -40)[: shape[2]])
    assert np.abs(frames.mean((0, 1, 2)) - 128 - tint).max() < 1
    assert np.abs(frames.std((1, 2)) - 8).max() < 1
    assert len(np.unique(frames, axis=0)) == len(frames) > 50
    ends = np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)])
    for end in ends:
        overlay(end.copy(), drawn[0], end)
    signed = frames[0].astype(int) - 128
    np.testing.assert_array_equal(ends, np.stack([signed.clip(0), 255 + signed.clip(None, 0)]))


def test_the_plain_look_draws_nothing():
    assert overlays(Look(light=0.5), (4, 4, 1)) == []
