"""The floor of a return: a policy that does not look."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from rl_attn import random_policy
from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.errors import UserError
from rl_attn.random_play import NAMES, play
from rl_attn.random_policy import RandomPolicySettings

SEEDS = [1_000_000, 1_000_001, 1_000_002]


@pytest.fixture(scope="module")
def played():
    return play(RandomPolicySettings(out="", env="Basic", num_envs=2), SEEDS)


def test_episodes_do_not_depend_on_how_many_are_played_at_once(played):
    alone = play(RandomPolicySettings(out="", env="Basic", num_envs=1), SEEDS)
    assert [asdict(episode) for episode in alone] == [asdict(episode) for episode in played]


def test_actions_are_uniform_draws_of_each_episodes_own_generator(played):
    """The second episode again, by hand."""
    random = np.random.default_rng(SEEDS[1])
    with Lanes("Basic", 1, episode_seeds=SEEDS[1:2]) as lanes:
        frames = np.zeros((1, *lanes.frame_shape), np.uint8)
        masks = np.zeros((1, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)
        episodes, empty = [], []
        while not episodes:
            empty.append(not masks.any())
            action = random.integers(lanes.action_space.n)
            episodes = lanes.step(np.array([action]), frames, masks).episodes
    assert played[1].episode_return == episodes[0].episode_return
    assert played[1].length == episodes[0].length == len(empty)
    assert played[1].empty_masks == pytest.approx(np.mean(empty))


def test_the_command_writes_an_evaluation(tmp_path, capsys):
    argv = ["--env", "Basic", "--episodes", "2", "--num-envs", "2", "--out", str(tmp_path / "out")]
    assert random_policy.main(argv) == 0
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert tuple(result["summary"]) == NAMES and result["env"] == "Basic"
    assert all(set(value) == {"mean", "low", "high"} for value in result["summary"].values())
    assert 0 < result["summary"]["iou_ceiling"]["mean"] < 1
    assert "episode return" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("--out x --env Nowhere", ("'Nowhere'", "Basic")),
        ("--out x --episodes 0", ("--episodes", "0")),
        ("--out x --width 161", ("161x120",)),
        (f"--out {__file__}", ("test_random_policy.py", "cannot be made")),
        ("--env Basic", ("--out",)),
    ],
)
def test_bad_input_ends_with_one_clear_line_before_any_game(flags, parts, monkeypatch):
    def no_game(*_):
        raise AssertionError("a game was started")

    monkeypatch.setattr(Game, "start", no_game)
    with pytest.raises(UserError) as error:
        random_policy.main(flags.split())
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)
