"""Gymnasium environments as lanes: how they are stepped changes nothing; ends, faults, resume."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rl_attn.envs.gym import GymLanes
from rl_attn.envs.protocol import VectorEnv
from rl_attn.envs.registry import EnvSettings, find
from rl_attn.envs.scaling import Area
from rl_attn.errors import EnvironmentFailed, UserError
from rl_attn.run.checkpoint import fitting

SIZE = 8


class Counter(gymnasium.Env):
    """Frame: seed and step; mask: a row. Action 1 ends the episode, 2 breaks the environment."""

    made = 0

    def __init__(self, length: int = 5, noise: bool = False, **changes):
        type(self).made += 1
        self.length, self.noise = length, noise
        self.action_space = spaces.Discrete(2)
        mask = changes.pop("mask_space", spaces.MultiBinary((SIZE, SIZE)))
        frame = changes.pop("frame_space", spaces.Box(0, 255, (SIZE, SIZE), np.uint8))
        self.observation_space = spaces.Dict({"frame": frame, "mask": mask} | changes)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.level, self.steps = int(self.np_random.integers(200)), 0
        return self.see(), {}

    def step(self, action):
        self.steps += 1
        if action == 2:
            raise OSError("the simulator is gone")
        late = self.steps == self.length
        return self.see(), float(self.level), bool(action == 1), late, {}

    def see(self):
        mask = np.zeros(self.observation_space["mask"].shape, self.observation_space["mask"].dtype)
        mask.reshape(SIZE, SIZE)[self.steps % SIZE] = 1
        level = self.level + self.steps
        if self.noise:
            level += np.random.randint(50)
        shape = self.observation_space["frame"].shape
        return {"frame": np.full(shape, level, np.uint8), "mask": mask}


def register(name: str, kind=Counter, **arguments) -> str:
    name = f"tests/{name}-v0"
    gymnasium.registry.pop(name, None)
    gymnasium.register(name, entry_point=kind, kwargs=arguments)
    return name


@pytest.fixture
def counter() -> str:
    return register("Counter")


def start(name: str, *arguments, processes: bool = False, **settings) -> GymLanes:
    environment = find(EnvSettings(env=name, env_processes=processes))
    return environment.start(*arguments, **settings)


def arrays(lanes: VectorEnv) -> tuple[np.ndarray, np.ndarray]:
    shapes = (lanes.frame_shape, lanes.mask_shape)
    return tuple(np.full((lanes.num_lanes, *shape), 7, np.uint8) for shape in shapes)


def play(lanes: VectorEnv, steps: int = 12, seed: int = 0) -> list[tuple]:
    """Everything that random play without faults brings."""
    frames, masks = arrays(lanes)
    random, seen = np.random.default_rng(seed), []
    lanes.reset(frames, masks)
    for _ in range(steps):
        seen.append((frames.copy(), masks.copy()))
        actions = random.integers(2, size=lanes.num_lanes) * random.integers(2)
        steps = []
        for group in range(lanes.num_groups):
            part = lanes.group_slice(group)
            lanes.send(actions[part], frames[part], masks[part], group)
        steps = [lanes.wait(group) for group in range(lanes.num_groups)]
        seen.append(np.concatenate([step.rewards for step in steps]))
        seen.append([episode for step in steps for episode in step.episodes])
    return seen


def test_lanes_are_a_vector_environment(counter):
    with start(counter, 2) as lanes:
        assert isinstance(lanes, VectorEnv)


@pytest.mark.parametrize(("processes", "groups"), [(True, 1), (False, 2), (True, 2)])
def test_episodes_do_not_depend_on_processes_and_groups(counter, processes, groups):
    with start(counter, 4, seed=3) as lanes:
        alone = play(lanes)
    with start(counter, 4, seed=3, processes=processes, num_groups=groups) as lanes:
        others = play(lanes)
    for one, other in zip(alone, others, strict=True):
        np.testing.assert_equal(one, other)


def test_lanes_of_several_processes_are_those_of_one(counter):
    with start(counter, 2, seed=3) as lanes:
        both = play(lanes, 1)[0][0]
    with start(counter, 1, seed=3, first_lane=1) as lanes:
        second = play(lanes, 1)[0][0]
    np.testing.assert_array_equal(both[1], second[0])


def test_a_time_limit_gives_the_true_last_frame_and_the_end_gives_none(counter):
    with start(counter, 2, episode_seeds=[5, 6, 5, 6]) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        first, first_mask = frames.copy(), masks.copy()
        for _ in range(4):
            assert not lanes.step(np.array([0, 0]), frames, masks).episodes
        step = lanes.step(np.array([0, 1]), frames, masks)  # the limit, and at once the goal
    assert step.truncated.tolist() == [True, False] and step.terminated.tolist() == [False, True]
    assert list(step.final_frames) == [0]
    np.testing.assert_array_equal(step.final_frames[0], first[0] + 5)
    assert step.final_masks[0][5].all() and step.final_masks[0].sum() == SIZE
    np.testing.assert_array_equal(frames, first)  # of the next episode, whose seed is the same
    np.testing.assert_array_equal(masks, first_mask)
    levels = first[:, 0, 0, 0].astype(float)
    assert [e.episode_return for e in step.episodes] == (5 * levels).tolist()
    assert [(e.lane, e.seed, e.length) for e in step.episodes] == [(0, 5, 5), (1, 6, 5)]


def test_a_seeded_reset_begins_the_episode_of_that_seed(counter):
    with start(counter, 2, episode_seeds=[5, 6]) as lanes:
        listed, masks = arrays(lanes)
        lanes.reset(listed, masks)
    with start(counter, 2, seed=1) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks, seeds=[5, 6])
        np.testing.assert_array_equal(frames, listed)
        ended = lanes.step(np.array([1, 0]), frames, masks).episodes
        ended += lanes.step(np.array([1, 0]), frames, masks).episodes
    assert ended[0].seed == 5 and ended[1].seed not in (5, 6)


def test_listed_episodes_end_in_idle_lanes(counter):
    with start(counter, 2, episode_seeds=[1, 2, 3]) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        lanes.step(np.array([0, 1]), frames, masks)
        assert lanes.active.tolist() == [True, False] and frames[0].any()
        assert not frames[1].any() and not masks[1].any()
        step = lanes.step(np.array([1, 1]), frames, masks)
        assert [(e.lane, e.seed) for e in step.episodes] == [(0, 1)] and step.rewards[1] == 0
        with pytest.raises(ValueError, match="episode_seeds"):
            lanes.reset(frames, masks, seeds=[1, 2])


@pytest.mark.parametrize("processes", [False, True])
def test_a_fault_ends_its_episode_and_three_in_a_row_the_run(counter, processes):
    with start(counter, 2, episode_seeds=[5] * 20, processes=processes) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        lanes.step(np.array([0, 0]), frames, masks)
        last = frames.copy()
        step = lanes.step(np.array([2, 0]), frames, masks)
        assert step.truncated.tolist() == [True, False] and lanes.faults == 1
        np.testing.assert_array_equal(step.final_frames[0], last[0])
        (episode,) = step.episodes
        assert episode.fault and episode.truncated and episode.length == 2
        np.testing.assert_array_equal(frames[0] + 2, frames[1])  # begun again
        lanes.step(np.array([2, 0]), frames, masks)
        with pytest.raises(EnvironmentFailed, match=r"3 times in a row.*OSError.*test_gym.py:\d+"):
            lanes.step(np.array([2, 0]), frames, masks)


class Wrong(Counter):
    """Its mask is wrong after 45 steps; action 2 ends its process; 3, or a reset after 4, hangs."""

    slow = False

    def reset(self, **how):
        if self.slow:
            time.sleep(60)
        return super().reset(**how)

    def step(self, action):
        if action == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if action == 3:
            time.sleep(60)
        self.slow = action == 4
        return super().step(action)

    def see(self):
        seen = super().see()
        if self.steps > 45:
            seen["mask"] = seen["mask"][1:]
        return seen


@pytest.mark.parametrize(
    ("action", "kind", "part"),
    [
        (2, EnvironmentFailed, "died of SIGKILL"),
        (3, EnvironmentFailed, "longer than 1 s"),
        (4, EnvironmentFailed, "a reset took longer than 1 s"),
        (0, UserError, "has shape (7, 8), not (8, 8)"),
    ],
)
def test_a_process_that_dies_hangs_or_errs_ends_in_one_line_and_leaves_nothing(
    action, kind, part, monkeypatch, recwarn
):
    monkeypatch.setattr("rl_attn.envs.gym_trial.HANG_TIMEOUT", 1.0)
    name = register("Wrong", kind=Wrong, length=100)
    with pytest.raises(kind) as error, start(name, 2, processes=True) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        processes = multiprocessing.active_children()
        assert len(processes) == 2
        for _ in range(50):
            lanes.step(np.array([0, action]), frames, masks)
            if action == 4:
                lanes.reset(frames, masks)
    assert part in str(error.value) and name in str(error.value)
    assert "\n" not in str(error.value) and not any(p.is_alive() for p in processes)
    assert not [w for w in recwarn if "Traceback" in str(w.message)]


def test_a_signal_to_the_whole_group_reaches_the_parent_alone(counter):
    with start(counter, 2, processes=True) as lanes:
        assert lanes.faults == 0  # they have begun
        groups = {os.getpgid(process.pid) for process in multiprocessing.active_children()}
    assert len(groups) == 2 and os.getpgrp() not in groups


@pytest.mark.parametrize("processes", [False, True])
def test_lanes_go_on_where_their_state_was_taken(counter, processes):
    def follow(lanes, frames, masks):
        seen = []
        for actions in np.random.default_rng(1).integers(2, size=(9, 2)):
            step = lanes.step(actions, frames, masks)
            seen.append((frames.copy(), masks.copy(), step.rewards, step.episodes))
        return seen

    with start(counter, 2, seed=1, processes=processes) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        for actions in ([0, 0], [0, 1], [0, 0]):
            lanes.step(np.array(actions), frames, masks)
        state, current = lanes.state_dict(), (frames.copy(), masks.copy())
        on = follow(lanes, frames, masks)
    with start(counter, 2, seed=1, processes=processes) as lanes:
        frames, masks = arrays(lanes)
        lanes.load_state_dict(state, frames, masks)
        np.testing.assert_equal((frames, masks), current)
        np.testing.assert_equal(follow(lanes, frames, masks), on)


def test_a_state_of_other_lanes_or_another_version_is_refused(counter):
    with start(counter, 2, seed=1) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        lanes.step(np.array([0, 0]), frames, masks)
        state = lanes.state_dict()
    with start(counter, 1) as lanes, pytest.raises(ValueError, match="2 lanes"):
        lanes.load_state_dict(state, *arrays(lanes))
    state["lanes"][1]["actions"].append(0)
    for action, words in ((0, "does not play the same"), (2, "the simulator is gone")):
        state["lanes"][1]["actions"][-1] = action
        refused = pytest.raises(EnvironmentFailed, match=f"{words}.*the checkpoint is as it was")
        with start(counter, 2) as lanes, refused, fitting(Path("step_000000004.pt")):
            lanes.load_state_dict(state, *arrays(lanes))


def test_what_does_not_repeat_is_known_before_a_run_and_cannot_be_resumed():
    environment = find(EnvSettings(env=register("Noise", noise=True), env_processes=False))
    assert not environment.replays
    assert find(EnvSettings(env=register("Repeats"))).replays
    with environment.start(1) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        with pytest.raises(UserError, match="np_random"):
            lanes.load_state_dict(lanes.state_dict(), frames, masks)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(SIZE, SIZE), (SIZE, SIZE, 1), (1, SIZE, SIZE)])
def test_masks_of_every_form_are_the_same(dtype, shape):
    name = f"Forms-{np.dtype(dtype)}-{len(shape)}{shape[0]}"
    name = register(name, mask_space=spaces.Box(0, 1, shape, dtype))
    with start(name, 1, seed=3) as lanes:
        assert lanes.mask_shape == (SIZE, SIZE)
        (_, masks), *_ = play(lanes, 1)
    assert masks[0, 0].tolist() == [1] * SIZE and masks.sum() == SIZE


def test_keys_can_be_named():
    extra = {"pixels": spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8), "other": spaces.Discrete(2)}
    name = register("Keys", kind=Renamed, **extra)
    with pytest.raises(UserError, match="--frame-key"):
        find(EnvSettings(env=name, frame_key="pixel"))
    environment = find(EnvSettings(env=name, frame_key="pixels"))
    assert environment.frame_shape == (SIZE, SIZE, 3)


def test_frames_and_masks_are_scaled_by_area():
    name = register("Scaled")
    seen = []
    for size in ("", "3x5"):
        environment = find(EnvSettings(env=name, frame_size=size, env_processes=False))
        with environment.start(1, seed=3) as lanes:
            assert lanes.frame_shape == environment.frame_shape
            seen.append(play(lanes, 3))
    assert environment.frame_shape == (5, 3, 1)
    area = Area((SIZE, SIZE), (5, 3))
    for (frames, masks), (small, small_masks) in zip(seen[0][::3], seen[1][::3], strict=True):
        np.testing.assert_array_equal(small[0], area.frame(frames[0]))
        np.testing.assert_array_equal(small_masks[0], area.mask(masks[0]))


class Renamed(Counter):
    def see(self):
        return super().see() | {"pixels": np.zeros((SIZE, SIZE, 3), np.uint8), "other": 0}
