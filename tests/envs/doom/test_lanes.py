import numpy as np
import pytest
from player import Player, record

from rl_attn.envs.doom.env import DoomEnv
from rl_attn.envs.doom.lanes import Lanes


def test_what_lanes_tell_about_themselves():
    with Player("DefendCenter", num_lanes=4, num_groups=2, rgb=True) as player:
        lanes = player.lanes
        assert (lanes.num_lanes, lanes.action_space.n) == (4, 4)
        assert lanes.frame_shape == (120, 160, 3)
        assert lanes.mask_shape == (120, 160)
        assert lanes.action_names == ("NOOP", "TURN_LEFT", "TURN_RIGHT", "ATTACK")
        assert lanes.scenario.name == "DefendCenter"
        assert [lanes.group_slice(group) for group in range(2)] == [slice(0, 2), slice(2, 4)]
        assert lanes.faults == 0


def test_results_do_not_depend_on_the_number_of_threads():
    histories = []
    for num_threads in (1, 2):
        with Player("Basic", num_lanes=3, seed=5, num_threads=num_threads) as player:
            player.reset()
            histories.append([player.digests(), *record(player, 80)])
    assert histories[0] == histories[1]
    assert sum(len(step[-1]) for step in histories[0][1:]) >= 3  # episodes have ended


def test_a_lane_plays_the_same_beside_fewer_lanes():
    with Player("Basic", num_lanes=1, seed=5) as one, Player("Basic", num_lanes=3, seed=5) as three:
        one.reset()
        three.reset()
        for _ in range(90):
            one.step(action=3)
            three.step(action=3)
            assert one.digest(0) == three.digest(0)


def test_groups_play_as_one():
    with (
        Player("DefendCenter", num_lanes=4, seed=2) as whole,
        Player("DefendCenter", num_lanes=4, seed=2, num_groups=2) as halves,
    ):
        whole.reset()
        halves.reset()
        for _ in range(60):
            actions = whole.rng.integers(4, size=4)
            expected = whole.lanes.step(actions, whole.frames, whole.masks)
            parts = [halves.lanes.group_slice(group) for group in range(2)]
            for group, part in enumerate(parts):
                halves.lanes.send(actions[part], halves.frames[part], halves.masks[part], group)
            steps = [halves.lanes.wait(group) for group in range(2)]
            assert np.concatenate([step.rewards for step in steps]).tolist() == (
                expected.rewards.tolist()
            )
            assert [*steps[0].episodes, *steps[1].episodes] == expected.episodes
            assert halves.digests() == whole.digests()


def test_lanes_equal_environments_stepped_one_by_one():
    envs = [DoomEnv("Basic") for _ in range(2)]
    with Player("Basic", num_lanes=2) as player:
        player.lanes.reset(player.frames, player.masks, seeds=[30, 31])
        observations = [env.reset(seed=30 + index)[0] for index, env in enumerate(envs)]
        for _ in range(100):
            actions = player.rng.integers(4, size=2)
            step = player.lanes.step(actions, player.frames, player.masks)
            for index, env in enumerate(envs):
                observation, reward, terminated, truncated, _ = env.step(actions[index])
                assert (reward, terminated, truncated) == (
                    step.rewards[index],
                    step.terminated[index],
                    step.truncated[index],
                )
                if truncated:
                    np.testing.assert_array_equal(step.final_frames[index], observation["frame"])
                    np.testing.assert_array_equal(step.final_masks[index], observation["mask"])
                if terminated or truncated:
                    observation, _ = env.reset()
                observations[index] = observation
            np.testing.assert_array_equal(player.frames, [o["frame"] for o in observations])
            np.testing.assert_array_equal(player.masks, [o["mask"] for o in observations])
    for env in envs:
        env.close()


def test_rows_of_a_bigger_storage_are_written_in_place():
    with Player("TakeCover", num_lanes=2, seed=1) as player:
        frames = np.zeros((2, 5, *player.lanes.frame_shape), np.uint8)  # lane, time, ...
        masks = np.zeros((2, 5, *player.lanes.mask_shape), np.uint8)
        player.reset()
        player.lanes.reset(frames[:, 3], masks[:, 3], seeds=[1, 2])
        player.lanes.reset(player.frames, player.masks, seeds=[1, 2])
        np.testing.assert_array_equal(frames[:, 3], player.frames)
        np.testing.assert_array_equal(masks[:, 3], player.masks)
        assert not frames[:, [0, 1, 2, 4]].any()


def test_an_episode_out_of_time_is_truncated_with_its_true_last_frame():
    with Player("Basic", num_lanes=2, seed=4) as player:
        player.reset()
        for _ in range(74):
            step = player.step(action=0)
            assert not step.truncated.any() and not step.episodes and not step.final_frames
        before = player.frames.copy()
        step = player.step(action=0)
        assert step.truncated.all() and not step.terminated.any()
        assert sorted(step.final_frames) == sorted(step.final_masks) == [0, 1]
        for index in range(2):
            final = step.final_frames[index]
            assert final.any() and step.final_masks[index].any()
            # Nothing moved but the monster: the last frame resembles the one before, and the
            # first of the next episode, which the arrays now hold, does not.
            assert (final == before[index]).mean() > 0.95
            assert not np.array_equal(final, player.frames[index])
        assert [(e.lane, e.episode_return, e.length) for e in step.episodes] == [
            (0, -300.0, 75),
            (1, -300.0, 75),
        ]
        assert all(episode.truncated and not episode.fault for episode in step.episodes)


def test_a_seeded_reset_begins_the_episode_of_that_seed_everywhere():
    seen = []
    for given, seeds in (({"episode_seeds": [50, 51]}, None), ({"seed": 1}, [50, 51])):
        with Lanes("Basic", 2, **given) as lanes:
            frames = np.empty((2, *lanes.frame_shape), np.uint8)
            lanes.reset(frames, np.empty((2, *lanes.mask_shape), np.uint8), seeds=seeds)
            seen.append(frames)
    env = DoomEnv("Basic")
    seen.append(np.stack([env.reset(seed=seed)[0]["frame"] for seed in (50, 51)]))
    env.close()
    assert (seen[0][0] != seen[0][1]).any()
    for other in seen[1:]:
        np.testing.assert_array_equal(other, seen[0])


def test_given_episodes_are_played_once_and_then_the_lane_is_idle():
    with Player("Basic", num_lanes=3, episode_seeds=[50, 51, 52, 53]) as player:
        player.reset()
        assert player.lanes.active.tolist() == [True, True, True]
        episodes = []
        for _ in range(75):
            episodes += player.step(action=0).episodes
        assert player.lanes.active.tolist() == [True, False, False]
        assert player.frames[0].any() and not player.frames[1:].any() and not player.masks[1:].any()
        for _ in range(75):
            player.frames[1:] = 9
            step = player.step(action=0)
            assert not player.frames[1:].any()
            assert step.rewards[1:].tolist() == [0, 0]
            assert not step.truncated[1:].any() and not step.terminated[1:].any()
            episodes += step.episodes
        assert not player.lanes.active.any()
        assert [(episode.lane, episode.seed) for episode in episodes] == [
            (0, 50),
            (1, 51),
            (2, 52),
            (0, 53),
        ]


def test_a_loaded_state_continues_exactly():
    with Player("Basic", num_lanes=2, seed=8) as player:
        player.reset()
        assert any(step[-1] for step in record(player, 90))  # amid a second episode
        state = player.lanes.state_dict()
        digests, policy = player.digests(), player.rng.bit_generator.state
        expected = record(player, 90)
    with Player("Basic", num_lanes=2, seed=999, num_threads=1) as player:
        player.lanes.load_state_dict(state, player.frames, player.masks)
        player.rng.bit_generator.state = policy
        assert player.digests() == digests
        assert record(player, 90) == expected


def test_a_loaded_state_continues_given_episodes():
    with Player("Basic", num_lanes=2, episode_seeds=[1, 2, 3]) as player:
        player.reset()
        for _ in range(100):
            player.step(action=0)
        state = player.lanes.state_dict()
        expected = record(player, 60)
    with Player("Basic", num_lanes=2, episode_seeds=[1, 2, 3]) as player:
        player.lanes.load_state_dict(state, player.frames, player.masks)
        assert player.lanes.active.tolist() == [True, False]
        player.rng.integers(4, size=(100, 2))  # what the first player drew before
        assert record(player, 60) == expected


def test_a_state_of_other_lanes_is_refused():
    with Player("Basic", num_lanes=1) as player:
        player.reset()
        state = player.lanes.state_dict()
    with Player("Basic", num_lanes=2) as other, pytest.raises(ValueError, match="1 lanes"):
        other.lanes.load_state_dict(state, other.frames, other.masks)
    with (
        Player("Basic", num_lanes=1, frame_skip=2) as other,
        pytest.raises(ValueError, match="'frame_skip': 4"),
    ):
        other.lanes.load_state_dict(state, other.frames, other.masks)


def test_a_state_that_replays_to_something_else_is_an_error():
    with Player("Basic", num_lanes=1) as player:
        player.reset()
        player.step(action=3)
        state = player.lanes.state_dict()
        state["lanes"][0]["return"] += 1
        with pytest.raises(RuntimeError, match=r"lane 0: playing episode.* a return of"):
            player.lanes.load_state_dict(state, player.frames, player.masks)
        state["lanes"][0]["return"] -= 1
        state["lanes"][0]["actions"] += [0] * 80
        with pytest.raises(RuntimeError, match=r"its end after 7\d steps"):
            player.lanes.load_state_dict(state, player.frames, player.masks)


def test_a_state_that_replays_to_other_targets_is_an_error():
    with Player("DefendLine", num_lanes=1, seed=3) as player:
        player.reset()
        player.step(action=0)
        state = player.lanes.state_dict()
    other = Player("DefendLine", num_lanes=1, seed=3, targets=["category:Self"])
    with other as player, pytest.raises(RuntimeError, match="another frame or mask"):
        player.lanes.load_state_dict(state, player.frames, player.masks)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scenario": "Base"}, "did you mean Basic"),
        ({"targets": ["DoomImp"]}, "unknown target of Basic"),
        ({"resolution": (100, 100)}, "no resolution 100x100"),
        ({"num_lanes": 3, "num_groups": 2}, "3 lanes cannot be divided into 2 equal groups"),
        ({"num_lanes": 0}, "0 lanes"),
        ({"num_threads": 0}, "num_threads is 0"),
        ({"hang_timeout": 0}, "hang_timeout is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Lanes(**{"scenario": "Basic", "num_lanes": 2, **settings})


def test_wrong_calls_are_refused():
    with Player("Basic", num_lanes=2) as player:
        lanes, frames, masks = player.lanes, player.frames, player.masks
        with pytest.raises(ValueError, match=r"frames must be uint8 of shape \(2, 120, 160, 1\)"):
            lanes.reset(frames[:1], masks)
        with pytest.raises(ValueError, match=r"masks must be uint8 .* not float32"):
            lanes.reset(frames, masks.astype(np.float32))
        player.reset()
        with pytest.raises(ValueError, match="1 actions for 2 lanes"):
            lanes.step(np.zeros(1, int), frames, masks)
        with pytest.raises(ValueError, match=r"\[0, 4\] are not all of Discrete\(4\)"):
            lanes.step(np.array([0, 4]), frames, masks)
        with pytest.raises(RuntimeError, match=r"call send\(\) first"):
            lanes.wait()
        lanes.send(np.zeros(2, int), frames, masks)
        with pytest.raises(RuntimeError, match=r"call wait\(\) first"):
            lanes.state_dict()
        assert lanes.wait().rewards.shape == (2,)
