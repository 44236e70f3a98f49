import copy
import pickle

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import FilterObservation, RecordEpisodeStatistics

from rl_attn.envs.doom.vector import DoomVectorEnv
from rl_attn.errors import UserError


@pytest.fixture
def make():
    """gymnasium.make_vec for our environments, which are closed at the end."""
    made = []

    def function(name, num_envs, **settings):
        mode = settings.pop("vectorization_mode", "vector_entry_point")
        made.append(
            gymnasium.make_vec(
                f"rl_attn/{name}-v0", num_envs=num_envs, vectorization_mode=mode, **settings
            )
        )
        return made[-1]

    yield function
    for env in made:
        env.close()


@pytest.mark.filterwarnings("error")
def test_spaces_and_observations_agree(make):
    env = make("DefendCenter", 3)
    assert isinstance(env, DoomVectorEnv)
    assert env.num_envs == 3
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.single_action_space == gymnasium.spaces.Discrete(4)
    observation, infos = env.reset(seed=1)
    assert observation in env.observation_space
    observation, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
    assert observation in env.observation_space
    assert rewards.shape == terminated.shape == truncated.shape == (3,)
    np.testing.assert_array_equal(infos["raw_reward"], rewards)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_it_plays_what_gymnasiums_own_vector_of_our_environment_plays(make, mode):
    ours = make("Basic", 2, autoreset_mode=mode)
    theirs = make("Basic", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})
    rng = np.random.default_rng(0)
    observations = [env.reset(seed=20)[0] for env in (ours, theirs)]
    ended = 0
    for _ in range(160):
        for key in ("frame", "mask"):
            np.testing.assert_array_equal(observations[0][key], observations[1][key])
        actions = rng.integers(4, size=2)
        steps = [env.step(actions) for env in (ours, theirs)]
        observations = [step[0] for step in steps]
        for our_array, their_array in zip(steps[0][1:4], steps[1][1:4], strict=True):
            np.testing.assert_array_equal(our_array, their_array)
        infos, their_infos = steps[0][4], steps[1][4]
        ended += (steps[0][2] | steps[0][3]).sum()
        assert ("final_obs" in infos) == ("final_obs" in their_infos)
        if "final_obs" in infos:
            np.testing.assert_array_equal(infos["_final_obs"], their_infos["_final_obs"])
            np.testing.assert_array_equal(
                infos["final_info"]["raw_reward"], their_infos["final_info"]["raw_reward"]
            )
            for index in np.flatnonzero(infos["_final_obs"]):
                for key in ("frame", "mask"):
                    np.testing.assert_array_equal(
                        infos["final_obs"][index][key], their_infos["final_obs"][index][key]
                    )
    assert ended >= 3


def test_without_autoreset_a_game_waits_for_its_reset(make):
    env = make("Basic", 2, autoreset_mode="Disabled", max_episode_steps=3)
    env.reset(seed=0)
    for _ in range(3):
        last, _, _, truncated, infos = env.step(np.array([0, 0]))
    assert truncated.all() and infos["final_info"]["episode"]["l"].tolist() == [3, 3]
    assert last["frame"].any()
    with pytest.raises(RuntimeError, match="lane 0 is over: reset it"):
        env.step(np.array([0, 0]))
    env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(RuntimeError, match="lane 1 is over"):
        env.step(np.array([0, 0]))
    env.reset(options={"reset_mask": np.array([False, True])})
    assert not env.step(np.array([0, 0]))[3].any()


def test_a_reset_of_some_games_leaves_the_others(make):
    env, other = make("Basic", 2), make("Basic", 2)
    for one in (env, other):
        one.reset(seed=7)
        for _ in range(5):
            before, *_ = one.step(np.array([1, 1]))
    after, _ = env.reset(seed=[5, None], options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(after["frame"][1], before["frame"][1])
    first, _ = make("Basic", 1).reset(seed=5)
    np.testing.assert_array_equal(after["frame"][0], first["frame"][0])
    steps = [one.step(np.array([2, 2]))[0]["frame"][1] for one in (env, other)]
    np.testing.assert_array_equal(*steps)


@pytest.mark.parametrize("mask", [[True], np.array([1, 0]), np.array([[True, False]])])
def test_a_reset_mask_of_another_kind_is_refused(make, mask):
    env = make("Basic", 2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"reset_mask is .*: give bool of \(2,\)"):
        env.reset(options={"reset_mask": mask})


def test_seeds_may_be_none(make):
    first, _ = make("Basic", 1).reset(seed=3)
    observation, _ = make("Basic", 2).reset(seed=[None, 3])
    np.testing.assert_array_equal(observation["frame"][1], first["frame"][0])


@pytest.mark.parametrize("seed", [-1, 1.5, "x"])
def test_a_seed_that_is_none_is_refused_by_its_value(make, seed):
    with pytest.raises(UserError, match=f"seed {seed!r} is not a whole number"):
        make("Basic", 2).reset(seed=[seed, 2])


def test_max_episode_steps_of_make_vec(make):
    env = RecordEpisodeStatistics(make("Basic", 2, max_episode_steps=5))
    env.reset(seed=0)
    for count in range(1, 11):
        _, _, terminated, truncated, infos = env.step(np.array([0, 0]))
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (count % 5 == 0)
        if truncated.any():
            assert infos["episode"]["l"].tolist() == [5, 5]
            assert infos["episode"]["r"].tolist() == [-20, -20]
    with pytest.raises(ValueError, match="max_episode_steps is 0"):
        make("Basic", 2, max_episode_steps=0)


def test_a_step_before_reset_is_an_error(make):
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        make("Basic", 2).step(np.array([0, 0]))
    with pytest.raises(gymnasium.error.ResetNeeded, match="first reset must be of all"):
        make("Basic", 2).reset(options={"reset_mask": np.array([True, False])})


def test_what_are_no_actions_is_refused(make):
    env = make("Basic", 2)
    env.reset(seed=0)
    for wrong in ([0, -1], [0, 4], [0.0, 1.9], [0], [True, False]):
        with pytest.raises(ValueError, match=r"are not all of Discrete|1 actions for 2"):
            env.step(np.array(wrong))


def test_a_pickle_plays_the_same_and_a_deep_copy_is_refused(make):
    env = make("Basic", 2)
    again = pickle.loads(pickle.dumps(env))
    frames = [one.reset(seed=4)[0]["frame"] for one in (env, again)]
    again.close()
    np.testing.assert_array_equal(*frames)
    with pytest.raises(TypeError, match="DoomVectorEnv cannot be copied"):
        copy.deepcopy(env)


def test_gymnasiums_wrapper_takes_part_of_the_observation(make):
    env = FilterObservation(make("Basic", 2, autoreset_mode="NextStep"), ["frame"])
    assert set(env.reset(seed=0)[0]) == set(env.step(np.array([0, 0]))[0]) == {"frame"}


def test_observations_are_not_overwritten(make):
    env = make("TakeCover", 1)
    first, _ = env.reset(seed=0)
    kept = first["frame"].copy()
    env.step(np.array([1]))
    np.testing.assert_array_equal(first["frame"], kept)


def test_statistics_of_episodes_agree_with_gymnasiums_wrapper(make):
    env = RecordEpisodeStatistics(make("Basic", 2))
    env.reset(seed=[4, 9])
    for _ in range(3):
        for _ in range(75):
            _, _, _, truncated, infos = env.step(np.array([0, 0]))
        assert truncated.all()
        assert infos["final_info"]["episode"]["r"].tolist() == [-300, -300]
        assert infos["final_info"]["episode"]["l"].tolist() == [75, 75]
        np.testing.assert_array_equal(infos["episode"]["r"], [-300, -300])
        np.testing.assert_array_equal(infos["episode"]["l"], [75, 75])
        assert not infos["final_info"]["fault"].any()


def test_a_dead_game_truncates_its_episode(make):
    env = make("Basic", 2)
    last, _ = env.reset(seed=0)
    psutil.Process(env._lanes._lanes[1].game.pid).kill()
    _, _, terminated, truncated, infos = env.step(np.array([0, 0]))
    assert truncated.tolist() == [False, True] and not terminated.any()
    assert infos["final_info"]["fault"].tolist() == [False, True]
    np.testing.assert_array_equal(infos["final_obs"][1]["frame"], last["frame"][1])
    assert env.faults == 1


def test_rendering_gives_a_picture_of_each_game(make):
    env = make("Basic", 2, render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    pictures = env.render()
    assert len(pictures) == 2
    np.testing.assert_array_equal(pictures[1][..., 2], observation["frame"][1, ..., 0])


def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="unknown target of Basic"):
        make("Basic", 2, targets=["Demon"])
    with pytest.raises(ValueError, match="render_mode is 'human'"):
        make("Basic", 2, render_mode="human")
