import pytest
from PIL import Image

from rl_attn import demo
from rl_attn.errors import UserError
from rl_attn.live.shipped import _FOLDER


def test_a_moving_picture_is_as_long_and_wide_as_it_should_be(tmp_path):
    file = tmp_path / "demo.webp"
    assert demo.main(["--record", str(file), "--seconds", "0.5"]) == 0
    with Image.open(file) as picture:
        assert picture.n_frames == 5  # 0.5 seconds of 35 / 4 steps, rounded up
        assert picture.width == 800


def test_another_ending_is_refused():
    with pytest.raises(UserError, match=r"\.webp or \.gif"):
        demo.main(["--record", "demo.mp4"])


def test_the_agents_are_small():
    assert sum(file.stat().st_size for file in _FOLDER.rglob("*")) < 3e6
