import shutil

import gymnasium
import numpy as np
import pytest

from rl_attn.envs.doom.scenario_file import FOLDER
from rl_attn.envs.registry import EnvSettings, find


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


def test_looks_are_those_of_the_flag():
    frames = []
    for looks in ("", "test:surfaces"):
        with find(EnvSettings(env="Basic", looks=looks)).start(num_lanes=2, seed=1) as lanes:
            frames.append(np.zeros((2, *lanes.frame_shape), np.uint8))
            lanes.reset(frames[-1], np.zeros((2, *lanes.mask_shape), np.uint8))
    assert (frames[0] != frames[1]).mean() > 0.5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"looks": "train:lights"}, "did you mean light"),
        ({"env": "Freedoom2", "looks": "train:light"}, "no WAD of its own"),
        ({"env": "CartPole-v1", "looks": "train:light"}, "leave --looks out"),
        ({"env": "none.cfg", "targets": ("Poison",)}, "there is no scenario file"),
    ],
)
def test_what_cannot_be_played_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        find(EnvSettings(**settings))
