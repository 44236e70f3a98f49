import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from rl_attn.envs.doom.vector import DoomVectorEnv


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
    env = make("DefendCenter", 8)
    assert isinstance(env, DoomVectorEnv)
    assert env.num_envs == 8
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    assert env.single_action_space == gymnasium.spaces.Discrete(4)
    observation, infos = env.reset(seed=1)
    assert observation in env.observation_space
    observation, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
    assert observation in env.observation_space
    assert rewards.shape == terminated.shape == truncated.shape == (8,)
    np.testing.assert_array_equal(infos["raw_reward"], rewards)


def test_it_plays_what_gymnasiums_own_vector_of_our_environment_plays(make):
    ours = make("Basic", 2)
    theirs = make(
        "Basic",
        2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
    )
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
        assert ("final_obs" in infos) == ("final_obs" in their_infos)
        if "final_obs" in infos:
            ended += 1
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


def test_observations_are_not_overwritten(make):
    env = make("TakeCover", 1)
    first, _ = env.reset(seed=0)
    kept = first["frame"].copy()
    env.step(np.array([1]))
    np.testing.assert_array_equal(first["frame"], kept)


def test_statistics_of_episodes_agree_with_gymnasiums_wrapper(make):
    env = RecordEpisodeStatistics(make("Basic", 2))
    env.reset(seed=[4, 9])
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
    with pytest.raises(ValueError, match="never shows"):
        make("Basic", 2, targets=["Demon"])
    with pytest.raises(ValueError, match="render_mode is 'human'"):
        make("Basic", 2, render_mode="human")
