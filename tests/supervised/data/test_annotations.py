"""Every kind of mask file, by hand: matters, does not matter, unknown."""

import numpy as np
import pytest
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader
from rl_attn.supervised.data.fit import fitted_annotation
from rl_attn.supervised.data.images import Problem, open_picture


def grey(*levels, kind=np.uint8) -> Image.Image:
    return Image.fromarray(np.array([levels], kind))


def palette(indices, colours) -> Image.Image:
    image = Image.fromarray(np.array([indices], np.uint8), "P")
    image.putpalette([level for colour in colours for level in colour])
    return image


def coloured(*colours) -> Image.Image:
    return Image.fromarray(np.array([colours], np.uint8))


VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 254)


@pytest.mark.parametrize(
    ("options", "image", "values", "known"),
    [
        ({}, grey(0, 255), [0, 255], None),
        ({}, grey(0, 1), [0, 255], None),
        ({}, Image.fromarray(np.array([[False, True]])), [0, 255], None),
        ({}, coloured(BLACK, WHITE), [0, 255], None),
        ({}, palette([0, 1], [BLACK, WHITE]), [0, 255], None),
        ({"mask_kind": "binary"}, grey(3, 250), [0, 255], None),
        ({"mask_kind": "soft"}, grey(0, 38, 255), [0, 38, 255], None),
        ({"mask_range": "0,1"}, grey(0, 0.9, kind=np.float32), [0, 229], None),  # 229.49
        ({"mask_range": "0,65535"}, grey(0, 65535, kind=np.uint16), [0, 255], None),
        ({"mask_kind": "binary", "mask_range": "0,2"}, grey(0, 2), [0, 255], None),
        ({"mask_label": "2"}, grey(0, 1, 2), [0, 0, 255], None),
        ({"mask_label": "1,2"}, grey(0, 1, 2), [0, 255, 255], None),
        ({"mask_label": "1"}, palette([0, 1, 2], VOC), [0, 255, 0], None),
        ({"mask_label": "300"}, grey(0, 300, kind=np.uint16), [0, 255], None),
        ({"mask_label": "1", "mask_unknown": "3"}, grey(1, 2, 3), [255, 0, 0], [1, 1, 0]),
        ({"mask_kind": "trimap"}, grey(0, 128, 255), [0, 0, 255], [1, 0, 1]),
        ({"mask_kind": "trimap"}, grey(128, 128), [0, 0], [0, 0]),
        ({"mask_kind": "painted"}, coloured(BLACK, RED), [0, 255], None),
        ({"mask_kind": "painted"}, coloured(WHITE, RED, BLUE), [0, 255, 255], None),
        ({"mask_colour": "red"}, coloured(WHITE, RED, BLUE), [0, 255, 0], None),
        ({"mask_background": "#0000fe"}, coloured(BLUE, RED, BLACK), [0, 255, 255], None),
        ({"mask_kind": "alpha"}, coloured((255,) * 3 + (0,), (255,) * 4), [0, 255], None),
    ],
)
def test_kinds(options, image, values, known):
    reader = MaskReader(MaskOptions.of(**options))
    annotation = reader(image)
    assert annotation.values[0].tolist() == values
    assert (None if annotation.known is None else annotation.known[0].tolist()) == known
    assert not reader.problems()


@pytest.mark.parametrize(
    ("options", "image", "message"),
    [
        ({}, grey(0, 2), r"holds levels 0, 2: say how .*mask_label=N"),
        ({}, grey(0, 38), "holds levels 0, 38"),
        ({}, grey(0, 128, 255), "mask_kind=binary|soft|trimap"),
        ({}, palette([0, 1], VOC), "is coloured: say mask_label=N"),
        ({}, palette([0, 1], [WHITE, BLACK]), r"a palette and holds indices 0, 1: say mask_label"),
        ({}, coloured(BLACK, RED), "is coloured: .*mask_kind=painted"),
        ({}, coloured((255,) * 3 + (0,), (255,) * 4), "transparent parts: .*mask_kind=alpha"),
        ({}, grey(0, 0.9, kind=np.float32), "float levels: say .*mask_range"),
        ({}, grey(0, 65535, kind=np.uint16), "16-bit levels: say .*mask_range"),
        ({"mask_kind": "binary"}, grey(0, 38), "holds levels 38, neither"),
        ({"mask_kind": "binary"}, grey(0, 2), "holds levels 0, 2, neither"),
        ({"mask_kind": "trimap"}, grey(1, 2, 3), "mask_label=1 mask_unknown=3"),
        ({"mask_kind": "trimap"}, grey(0, 60, 255), "holds levels 60, neither"),
        ({"mask_range": "0,1"}, grey(0, 2), "levels from 0 to 2, outside of mask_range=0,1"),
        ({"mask_label": "1"}, coloured(BLACK, RED), "has no indices"),
        ({"mask_label": "1"}, grey(0, 1, kind=np.float32), "has no indices"),
        ({"mask_kind": "painted"}, coloured(*[(100, 110, 120)] * 3, RED), "not colour on black"),
        ({"mask_kind": "alpha"}, grey(0, 255), "has no alpha channel"),
    ],
)
def test_what_is_not_of_the_kind_is_refused(options, image, message):
    with pytest.raises(Problem, match=message):
        MaskReader(MaskOptions.of(**options))(image)


@pytest.mark.parametrize(
    ("options", "images", "message"),
    [
        ({}, [grey(0, 1), grey(0, 255)], "some masks hold 0 and 1, others 0 and 255"),
        ({"mask_kind": "soft"}, [grey(0, 1)], "mask_range=0,1"),
        ({"mask_label": "7"}, [grey(0, 1), grey(2, 3)], "mask_label=7: they hold 0, 1, 2, 3"),
        ({"mask_kind": "painted"}, [coloured(BLACK, WHITE)], "no mask has the colour"),
        ({"mask_kind": "alpha"}, [coloured((0, 0, 0, 255))], "its alpha channel says nothing"),
    ],
)
def test_what_only_all_masks_together_show(options, images, message):
    reader = MaskReader(MaskOptions.of(**options))
    for image in images:
        reader(image)
    assert [message in str(problem) for problem in reader.problems()] == [True]


def test_indices_are_not_called_two_conventions():
    reader = MaskReader()
    reader(grey(0, 1))
    with pytest.raises(Problem, match="holds levels 0, 2: say how they are meant"):
        reader(grey(0, 2))
    assert reader.problems() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_kind": "label"}, "mask_label=N"),
        ({"mask_kind": "soft", "mask_label": "1"}, "mask_label belongs to mask_kind=label"),
        ({"mask_unknown": "3"}, "mask_unknown belongs to mask_kind=label"),
        ({"mask_label": "one"}, "mask_label is 'one'"),
        ({"mask_colour": "reddish"}, "mask_colour is 'reddish'"),
        ({"mask_colour": "red", "mask_background": "blue"}, "say the same twice"),
    ],
)
def test_options_that_contradict(options, message):
    with pytest.raises(UserError, match=message):
        MaskOptions.of(**options)


def test_indices_of_fewer_bits_are_not_those_of_the_file(tmp_path):
    Image.fromarray(np.array([[0, 85]], np.uint8)).save(tmp_path / "x.png", bits=2)
    mask = open_picture(tmp_path / "x.png")
    if mask.info["bits"] == 2:  # where Pillow writes them
        with pytest.raises(Problem, match="fewer than 8 bits"):
            MaskReader(MaskOptions.of(mask_label="1"))(mask)


def test_unknown_pixels_do_not_dim_what_they_are_resized_with():
    """Halved: white with unknown is white, known where at least half is; all unknown stays so."""
    trimap = np.array([[255, 255, 255, 128, 128, 128, 0, 0]] * 8, np.uint8)
    annotation = MaskReader(MaskOptions("trimap"))(Image.fromarray(trimap))
    small = fitted_annotation(annotation, 4, "stretch")
    assert small.values[0, 0] == 255 and small.values[0, 1] > 240 and small.known[0, 1]
    assert not small.known[0, 2] and small.values[0, 2] == 0
    assert small.known[0, 3] and small.values[0, 3] == 0
