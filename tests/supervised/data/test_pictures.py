"""Files: unions, soft masks, and every mistake named at once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data.pictures import Picture, read_pictures


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)
    return path


def test_masks_are_united_and_none_is_unknown(tmp_path):
    image = save(tmp_path / "x.png", np.full((4, 4, 3), 7))
    left, top = np.zeros((4, 4)), np.zeros((4, 4))
    left[:, 0], top[0] = 1, 1
    masks = (save(tmp_path / "a.png", left), save(tmp_path / "b.png", top))
    images, united, known, _ = read_pictures([Picture(image, masks, 0), Picture(image, (), 0)], 4)
    assert images.shape == (2, 3, 4, 4) and (images == 7).all()
    expected = np.zeros((4, 4))
    expected[0], expected[:, 0] = 255, 255
    assert np.array_equal(united[0].numpy(), expected) and known[0].all()
    assert not united[1].any() and not known[1].any()


def test_everything_that_is_wrong_is_named_at_once(tmp_path):
    good = save(tmp_path / "good.png", np.zeros((6, 4, 3)))
    small = save(tmp_path / "small_mask.png", np.zeros((3, 4)))
    broken = tmp_path / "broken.png"
    broken.write_bytes(good.read_bytes()[:40])
    with pytest.raises(UserError) as error:
        read_pictures(
            [
                Picture(good, (small,), 0),
                Picture(broken, (), 0),
                Picture(tmp_path / "gone.png", (), 0),
                Picture(good, (tmp_path / "no_mask.png",), 0),
            ],
            8,
        )
    message = str(error.value)
    assert message.startswith("4 problems with images: ")
    assert "small_mask.png is 4x3, its picture good.png 4x6" in message
    assert "broken.png cannot be read" in message
    assert "gone.png" in message and "no_mask.png: each is missing" in message
    assert "\n" not in message
