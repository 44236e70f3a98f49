import copy
import pickle

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.utils.env_checker import check_env

from rl_attn.envs import SCENARIOS
from rl_attn.envs.doom.env import DoomEnv
from rl_attn.envs.doom.game import GameFault


@pytest.fixture
def make():
    """gymnasium.make for our environments, which are closed at the end."""
    made = []

    def function(name, **settings):
        made.append(gymnasium.make(f"rl_attn/{name}-v0", **settings))
        return made[-1]

    yield function
    for env in made:
        env.close()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DefendCenter", {}),
        ("TakeCover", {"rgb": True, "resolution": (320, 240), "render_mode": "rgb_array"}),
    ],
)
def test_gymnasiums_own_check_passes(make, name, settings):
    check_env(make(name, **settings).unwrapped)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_registered_and_has_its_actions(make, name):
    basic = ["MOVE_LEFT", "MOVE_RIGHT", "ATTACK"]
    alike = ("Basic", "SimplerBasic", "RocketBasic", "Learning", "BasicAudio", "BasicNotifications")
    expected = {
        **dict.fromkeys(alike, basic),
        "HealthGatheringSupreme": ["TURN_LEFT", "TURN_RIGHT", "MOVE_FORWARD"],
        "DefendLine": ["TURN_LEFT", "TURN_RIGHT", "ATTACK"],
        "DefendCenter": ["TURN_LEFT", "TURN_RIGHT", "ATTACK"],
        "TakeCover": ["MOVE_LEFT", "MOVE_RIGHT"],
        "DeadlyCorridor": [
            *("MOVE_LEFT", "MOVE_RIGHT", "ATTACK", "MOVE_FORWARD", "MOVE_BACKWARD"),
            *("TURN_LEFT", "TURN_RIGHT"),
        ],
        "HealthGathering": ["TURN_LEFT", "TURN_RIGHT", "MOVE_FORWARD"],
        "PredictPosition": ["TURN_LEFT", "TURN_RIGHT", "ATTACK"],
        "MyWayHome": ["TURN_LEFT", "TURN_RIGHT", "MOVE_FORWARD", "MOVE_LEFT", "MOVE_RIGHT"],
    }.get(name)
    env = make(name).unwrapped
    if expected is not None:
        assert env.action_names == ("NOOP", *expected)
    counts = {"Deathmatch": 1 + 17 + 3 * 2, "Freedoom1": 1 + 19, "Freedoom2": 1 + 19}
    count = counts[name] if expected is None else len(expected) + 1
    assert env.action_space == gymnasium.spaces.Discrete(count)
    assert env.observation_space["frame"].shape == (120, 160, 1)
    assert env.observation_space["mask"] == gymnasium.spaces.Box(0, 1, (120, 160), np.uint8)


def test_a_seed_fixes_this_episode_and_the_following(make):
    episodes = []
    for env in (make("Basic"), make("Basic")):
        observations = [env.reset(seed=12)[0]["frame"]]
        observations += [env.step(action)[0]["frame"] for action in (1, 3, 2, 2)]
        observations += [env.reset()[0]["frame"]]
        episodes.append(observations)
    np.testing.assert_array_equal(*episodes)
    assert not np.array_equal(episodes[0][0], episodes[0][-1])


def test_time_runs_out_with_a_last_frame(make):
    env = make("Basic")
    env.reset(seed=0)
    for count in range(1, 76):
        observation, reward, terminated, truncated, info = env.step(0)
        assert not terminated
        assert truncated == (count == 75)
        assert info["raw_reward"] == reward == -4
    assert observation["frame"].any() and observation["mask"].any()


def test_a_terminal_observation_is_the_last_frame_seen(make):
    env = make("TakeCover")
    observation, _ = env.reset(seed=0)
    terminated = False
    while not terminated:
        last = observation
        observation, _, terminated, truncated, _ = env.step(0)
        assert not truncated
    np.testing.assert_array_equal(observation["frame"], last["frame"])
    np.testing.assert_array_equal(observation["mask"], last["mask"])


def test_rendering_gives_colours(make):
    for rgb in (False, True):
        env = make("Basic", rgb=rgb, render_mode="rgb_array")
        observation, _ = env.reset(seed=0)
        picture = env.render()
        assert picture.shape == (120, 160, 3) and picture.dtype == np.uint8
        np.testing.assert_array_equal(picture[..., :1], observation["frame"][..., :1])


@pytest.mark.parametrize("fault", ["kill", "suspend"])
def test_a_game_that_dies_or_hangs_is_an_error_that_reset_mends(make, fault):
    env = make("Basic", hang_timeout=1.0)
    first, _ = env.reset(seed=3)
    getattr(psutil.Process(env.unwrapped._game.pid), fault)()
    with pytest.raises(GameFault):
        env.step(0)
    again, _ = env.reset(seed=3)
    np.testing.assert_array_equal(first["frame"], again["frame"])


def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="unknown target of DefendLine: 'Imp'"):
        make("DefendLine", targets=["Imp"])
    with pytest.raises(ValueError, match="no resolution 84x84"):
        make("DefendLine", resolution=(84, 84))
    with pytest.raises(ValueError, match="render_mode is 'human'"):
        DoomEnv("DefendLine", render_mode="human")
    with pytest.raises(ValueError, match="hang_timeout is 0"):
        make("DefendLine", hang_timeout=0)


def test_what_is_no_action_is_refused_and_the_episode_goes_on(make):
    env = make("Basic")
    env.reset(seed=0)
    for wrong in (-1, 1.9, 4, "ATTACK", None):
        with pytest.raises(ValueError, match=r"3 ATTACK"):
            env.unwrapped.step(wrong)
    assert env.step(np.int64(0))[1] == -4


def test_a_step_without_an_episode_is_an_error():
    env = DoomEnv("TakeCover")
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(0)
    env.reset(seed=0)
    while not env.step(0)[2]:
        continue
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(0)
    env.close()


def test_an_unknown_option_of_reset_is_refused(make):
    with pytest.raises(ValueError, match="no option 'varation'"):
        make("Basic").reset(options={"varation": []})


def test_a_pickle_plays_the_same_and_a_deep_copy_is_refused(make):
    env = make("Basic", resolution=(320, 240), rgb=True, max_buttons=2)
    first, _ = env.reset(seed=4)
    again = pickle.loads(pickle.dumps(env.unwrapped))
    np.testing.assert_array_equal(again.reset(seed=4)[0]["frame"], first["frame"])
    assert again.action_names == env.unwrapped.action_names
    again.close()
    with pytest.raises(TypeError, match="DoomEnv cannot be copied"):
        copy.deepcopy(env.unwrapped)


def test_several_buttons_at_once(make):
    one, two = make("Basic"), make("Basic", max_buttons=2)
    assert two.unwrapped.action_names[4:] == (
        *("MOVE_LEFT+MOVE_RIGHT", "MOVE_LEFT+ATTACK", "MOVE_RIGHT+ATTACK"),
    )
    frames = []
    for env, action in ((one, 1), (one, 3), (two, 5)):
        env.reset(seed=3)
        for _ in range(4):
            observation, *_ = env.step(action)
        frames.append(observation["frame"])
    assert not np.array_equal(frames[2], frames[0])  # it shoots
    assert not np.array_equal(frames[2], frames[1])  # it moves
