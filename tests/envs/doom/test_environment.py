import shutil
from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from rl_attn.envs.doom.resolutions import resolution_for
from rl_attn.envs.doom.scenario_file import FOLDER
from rl_attn.envs.registry import EnvSettings, find
from rl_attn.envs.scaling import Area


def test_a_scenario_file_is_an_environment(tmp_path):
    shutil.copy(FOLDER / "health_gathering_supreme.wad", tmp_path)
    shutil.copy(FOLDER / "health_gathering_supreme.cfg", tmp_path / "my.cfg")
    path = str(tmp_path / "my.cfg")
    found = find(EnvSettings(env=path, targets=("Poison",), max_buttons=2))
    assert found.objects == ("Poison",)
    assert found.action_space == gymnasium.spaces.Discrete(1 + 3 + 3)
    with found.start(num_lanes=1, seed=1) as lanes:
        frames = np.zeros((1, *lanes.frame_shape), np.uint8)
        lanes.reset(frames, np.zeros((1, *lanes.mask_shape), np.uint8))
        assert lanes.action_space == found.action_space and frames.any()
    with pytest.raises(ValueError, match="no targets given for my"):
        find(EnvSettings(env=path))


def test_buttons_may_be_pressed_together_or_by_how_much():
    space = find(EnvSettings(env="Deathmatch", actions="box")).action_space
    assert space.shape == (20,)
    space = find(EnvSettings(env="Basic", actions="binary")).action_space
    assert space == gymnasium.spaces.MultiBinary(3)


def test_a_button_that_takes_an_amount_has_an_action_for_each_value(tmp_path):
    shutil.copy(FOLDER / "basic.wad", tmp_path)
    text = (FOLDER / "basic.cfg").read_text().replace("MOVE_LEFT", "TURN_LEFT_RIGHT_DELTA")
    (tmp_path / "my.cfg").write_text(text)
    settings = EnvSettings(env=str(tmp_path / "my.cfg"), targets=("Cacodemon",))
    turns = ("TURN_LEFT_RIGHT_DELTA=-10", "TURN_LEFT_RIGHT_DELTA=10")
    assert find(settings).action_names == ("NOOP", *turns, "MOVE_RIGHT", "ATTACK")
    found = find(replace(settings, delta_values=(-3.0, 5.0, 20.0)))
    turns = tuple(f"TURN_LEFT_RIGHT_DELTA={value}" for value in (-3, 5, 20))
    assert found.action_names == ("NOOP", *turns, "MOVE_RIGHT", "ATTACK")
    frames, masks = np.zeros((4, *found.frame_shape), np.uint8), np.zeros((4, 120, 160), np.uint8)
    with found.start(num_lanes=4, episode_seeds=[3] * 4) as lanes:
        lanes.reset(frames, masks)
        lanes.step(np.array([0, 1, 2, 3]), frames, masks)
    assert len(np.unique(frames, axis=0)) == 4
    box = find(replace(settings, delta_values=(-3.0, 20.0), actions="box")).action_space
    assert box.high.tolist() == [20, 1, 1]


def test_looks_are_those_of_the_flag():
    frames = []
    for looks in ("", "test:surfaces"):
        with find(EnvSettings(env="Basic", looks=looks)).start(num_lanes=2, seed=1) as lanes:
            frames.append(np.zeros((2, *lanes.frame_shape), np.uint8))
            lanes.reset(frames[-1], np.zeros((2, *lanes.mask_shape), np.uint8))
    assert (frames[0] != frames[1]).mean() > 0.5


def test_frames_and_masks_are_scaled_by_area():
    area, seen = Area((120, 160), (30, 40)), []
    for size in ("", "40x30"):
        environment = find(EnvSettings(env="DefendCenter", frame_size=size))
        with environment.start(num_lanes=1, episode_seeds=[3]) as lanes:
            frames, masks = (
                np.zeros((1, *shape), np.uint8) for shape in (lanes.frame_shape, lanes.mask_shape)
            )
            assert environment.frame_shape == lanes.frame_shape
            lanes.reset(frames, masks)
            for _ in range(5):
                lanes.step(np.array([1]), frames, masks)
            seen.append((frames[0], masks[0]))
    (frame, mask), (small, small_mask) = seen
    assert small.shape == (30, 40, 1) and small_mask.any()
    np.testing.assert_array_equal(small, area.frame(frame))
    np.testing.assert_array_equal(small_mask, area.mask(mask))


def test_doom_draws_at_the_next_larger_size_that_it_has():
    assert resolution_for((84, 84)) == (160, 120)
    assert resolution_for((120, 160)) == (160, 120)
    assert resolution_for((121, 84)) == (200, 150)
    assert resolution_for((84, 84), least=(320, 240)) == (320, 240)
    assert resolution_for((84, 84), least=(200, 125)) == (200, 125)
    assert resolution_for((84, 1900)) == (1920, 1080)  # Doom has none of its own proportions
    small = find(EnvSettings(env="Basic", width=320, height=240, frame_size="84x64"))
    assert small.frame_shape == (64, 84, 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frame_size": "84"}, "width x height"),
        ({"frame_size": "4000x4000"}, "at most 1920x1080"),
        ({"frame_size": "84x84", "width": 161}, "no resolution 161x120"),
        ({"looks": "train:lights"}, "did you mean light"),
        ({"env": "Freedoom2", "looks": "train:light"}, "no WAD of its own"),
        ({"env": "none.cfg", "targets": ("Poison",)}, "there is no scenario file"),
    ],
)
def test_what_cannot_be_played_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        find(EnvSettings(**settings))
