"""What is drawn over an image: the map, the mask's outline, and words where a map is dead."""

import numpy as np
import pytest
import torch

import rl_attn
from rl_attn.attention import Attention
from rl_attn.overlay import DEAD, as_rgb, figure, on, over


def test_the_outline_runs_along_the_edges_of_the_masks_pixels():
    mask = np.zeros((4, 6))
    mask[1:3, 2:5] = 1
    drawn = figure(np.zeros((4, 6, 3), np.uint8), torch.ones(2, 3), mask)
    image, heat = drawn.axes[:2]
    for axis in (image, heat):
        segments = np.array(axis.collections[-1].get_segments())  # (n, 2, 2)
        assert len(segments) == 2 * (2 + 3)  # the perimeter of 2 x 3 pixels
        assert segments.min((0, 1)).tolist() == [1.5, 0.5]  # (x, y)
        assert segments.max((0, 1)).tolist() == [4.5, 2.5]


def test_a_dead_map_is_said_to_be_dead_and_a_live_one_is_not():
    maps = {"live": torch.eye(3), "dead": torch.zeros(3, 3), "signed": -torch.ones(3, 3)}
    drawn = figure(np.zeros((6, 6), np.uint8), maps)
    said = {axis.get_title(): [text.get_text() for text in axis.texts] for axis in drawn.axes[:4]}
    assert said == {"image": [], "live": [], "dead": [DEAD], "signed": [DEAD]}


def test_maps_are_placed_by_their_cells_and_fade_beyond_them():
    attention = Attention(torch.tensor([[[1.0, 0.0]]]), ((0.0, 1.0), (2.0, 4.0)))
    full = over(attention, (1, 8))
    np.testing.assert_allclose(full[0], [0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_every_kind_of_image_and_mask_is_taken(dtype):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for image in (grey, grey[..., None], torch.from_numpy(grey)[None], grey / 255):
        assert (as_rgb(image) == grey[..., None]).all()
    mask = (grey > 5).astype(dtype)
    assert (on(mask) == (grey > 5)).all() and (on(mask * dtype(255)) == (grey > 5)).all()


def test_show_gives_an_image_that_notebooks_display():
    picture = rl_attn.show(np.zeros((8, 8, 3), np.uint8), torch.ones(2, 2), title="cat")
    assert picture.width > picture.height > 100 and picture._repr_png_()


def test_names_are_no_mathematics():
    picture = np.zeros((4, 4), np.uint8)
    image = rl_attn.show(picture, {"a$_$": picture}, title="$\\frac$ a_$", captions=["$^$"])
    assert image.width > image.height
