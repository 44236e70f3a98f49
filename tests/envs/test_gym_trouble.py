"""Gymnasium environments that misbehave: what they do is seen, named and survived."""

import os
import time

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rl_attn.envs import gym_trial
from rl_attn.envs.gym import gym_environment
from rl_attn.envs.registry import EnvSettings, find
from rl_attn.envs.variations import variations_of
from rl_attn.errors import EnvironmentFailed, UserError
from tests.envs.test_gym import SIZE, Counter, arrays, register, start


class Turned(gymnasium.Env):
    """A mask of another shape than its space says, from the third step on."""

    observation_space = spaces.Dict(
        frame=spaces.Box(0, 255, (4, 6), np.uint8), mask=spaces.MultiBinary((4, 6))
    )
    action_space = spaces.Discrete(2)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.see(), {}

    def step(self, action):
        self.steps += 1
        return self.see(), 0.0, False, self.steps == 50, {}

    def see(self):
        shape = self.shape if self.steps > 2 else (4, 6)
        return {"frame": np.zeros((4, 6), np.uint8), "mask": np.ones(shape, np.int8)}


@pytest.mark.parametrize("shape", [(6, 4), (24,), (2, 12)])
def test_a_mask_of_another_shape_is_refused_however_many_pixels_it_has(shape):
    with pytest.raises(UserError, match=r"has shape \(.*, not \(4, 6\) as its frames"):
        find(EnvSettings(env=register("Turned", Turned, shape=shape), env_processes=False))


class Leaves(Counter):
    """Action 3, which its space has not, ends its process."""

    def step(self, action):
        if action == 3:
            os._exit(7)
        return super().step(0)


def test_a_single_lane_has_a_process_of_its_own_too():
    with start(register("Leaves", Leaves), 1, processes=True) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        lanes.step(np.zeros(1, int), frames, masks)
        with pytest.raises(EnvironmentFailed, match="died with status 7"):
            lanes.step(np.full(1, 3), frames, masks)


class Slow(Counter):
    def step(self, action):
        time.sleep(0.02)
        return super().step(0)


def test_an_episode_may_take_longer_to_play_again_than_a_step_may(monkeypatch):
    with start(register("Slow", Slow, length=90), 1, processes=True) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        for _ in range(80):
            lanes.step(np.zeros(1, int), frames, masks)
        state = lanes.state_dict()
    monkeypatch.setattr(gym_trial, "HANG_TIMEOUT", 1.0)  # the episode takes 1.6 seconds
    with start("tests/Slow-v0", 1, processes=True) as lanes:
        again = arrays(lanes)
        lanes.load_state_dict(state, *again)
    np.testing.assert_array_equal(again[0], frames)
    np.testing.assert_array_equal(again[1], masks)


class Halves(Counter):
    """Halves the action that it is given, in place."""

    def __init__(self) -> None:
        super().__init__(length=50)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def step(self, action):
        action *= 0.5
        self.level = (self.level + round(float(action[0]) * 100)) % 200
        return super().step(0)

    def see(self):
        return {**super().see(), "frame": np.full((SIZE, SIZE), self.level, np.uint8)}


def test_an_environment_may_change_the_action_that_it_is_given():
    name = register("Halves", Halves)
    actions = np.zeros((1, 2), np.float32)  # one buffer for all steps
    with start(name, 1) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        for step in range(5):
            actions[...] = step / 5
            lanes.step(actions, frames, masks)
            assert (actions == np.float32(step / 5)).all()
        state = lanes.state_dict()
    with start(name, 1) as lanes:
        again = arrays(lanes)
        lanes.load_state_dict(state, *again)
    np.testing.assert_array_equal(again[0], frames)


class StaysOpen(Counter):
    """Once it has failed, it cannot be closed."""

    failed = False

    def close(self):
        if self.failed:
            raise OSError("100 % closed already")

    def step(self, action):
        self.failed = action == 2
        return super().step(action)


def test_what_has_failed_need_not_close():
    with start(register("StaysOpen", StaysOpen), 1) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        assert lanes.step(np.array([2]), frames, masks).episodes[0].fault


@pytest.mark.parametrize("fps", [-5, "fast", np.nan])
def test_frames_a_second_are_a_number(fps):
    class Odd(Counter):
        metadata = {"render_fps": fps}  # noqa: RUF012

    with pytest.raises(UserError, match=f"says render_fps {fps}"):
        find(EnvSettings(env=register("Fps", Odd), env_processes=False))
    Odd.metadata = {"render_fps": np.float32(20)}
    assert find(EnvSettings(env=register("Fps20", Odd), env_processes=False)).fps == 20


def test_values_that_an_axis_lacks_cannot_be_held_out():
    class Looks(Counter):
        variation_space = spaces.Dict(wall=spaces.Discrete(4))
        held_out = {"wall": (2, 9)}  # noqa: RUF012

    with pytest.raises(UserError, match=r"held_out\['wall'\] has 9, and the axis has 1 to 3"):
        variations_of(gymnasium.make(register("Looks", Looks), disable_env_checker=True))


def test_axes_of_targets_alone_are_asked_for_by_name():
    class Looks(Counter):
        variation_space = spaces.Dict(monster=spaces.Discrete(3))
        target_axes = ("monster",)

    env = gymnasium.make(register("Targets", Looks), disable_env_checker=True)
    with pytest.raises(UserError, match="name those that you want, test:monster"):
        variations_of(env).numbers("test")
    assert variations_of(env).numbers("test:monster") == {"monster": [1, 2]}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_reward_that_is_no_number_is_named_when_the_environment_is_tried(value):
    class Odd(Counter):
        def step(self, action):
            return self.see(), value, False, False, {}

    with pytest.raises(UserError, match=f"tests/Odd-v0 gives a reward of {value}"):
        find(EnvSettings(env=register("Odd", Odd), env_processes=False))


@pytest.mark.parametrize("processes", [False, True])
def test_a_reward_that_is_no_number_ends_a_run(processes):
    class Late(Counter):
        def step(self, action):
            observation, reward, *rest = super().step(action)
            return observation, np.nan if self.steps == 60 else reward, *rest

    with start(register("Late", Late, length=100), 1, processes=processes) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        with pytest.raises(UserError, match="tests/Late-v0 gives a reward of nan"):
            for _ in range(60):
                lanes.step(np.array([0]), frames, masks)


class Unmasked(Counter):
    def see(self):
        seen = super().see()
        return seen | {"mask": np.zeros_like(seen["mask"])}


class Numbers(Counter):
    def see(self):
        seen = super().see()
        seen["mask"][0, :3] = 0, 2, 3
        return seen


class Broken(Counter):
    def step(self, action):
        return 1 / 0


class Stuck(Counter):
    def reset(self, **how):
        time.sleep(60)


def test_an_environment_that_hangs_is_refused_before_a_run(monkeypatch):
    monkeypatch.setattr("rl_attn.envs.gym_trial.HANG_TIMEOUT", 0.5)
    with pytest.raises(UserError, match=r"tests/Stuck-v0 .*takes longer than 0.5 s"):
        gym_environment(EnvSettings(env=register("Stuck", kind=Stuck)))


class Once(Counter):
    """Its mask is set in the episodes that are played before a run alone."""

    def reset(self, *, seed=None, options=None):
        self.shown = seed < 10
        return super().reset(seed=seed)

    def see(self):
        seen = super().see()
        return seen | {"mask": seen["mask"] * self.shown}


def test_a_mask_that_is_never_set_during_a_run_is_told_of_once(monkeypatch):
    monkeypatch.setattr("rl_attn.envs.gym.UNSEEN_AFTER", 5)
    with start(register("Once", kind=Once), 2) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        steps = [lambda: lanes.step(np.array([0, 0]), frames, masks)] * 12
        with pytest.warns(
            UserWarning, match=r"tests/Once-v0.*'mask'.*empty in all 10 steps"
        ) as told:
            for step in steps:
                step()
        assert len(told) == 1


class Bare(Counter):
    def __init__(self):
        super().__init__()
        self.observation_space = self.observation_space["frame"]


@pytest.mark.parametrize(
    ("kind", "arguments", "parts"),
    [
        (Bare, {}, ("observation space", "dict")),
        (Broken, {}, ("ZeroDivisionError",)),
        (Unmasked, {}, ("empty", "--mask-key")),
        (Numbers, {"mask_space": spaces.Box(0, 9, (SIZE, SIZE), np.uint8)}, ("0, 1, 2, 3",)),
        (Counter, {"mask_space": spaces.MultiBinary((SIZE, 4))}, ("(8, 4)", "(8, 8)")),
        (Counter, {"frame_space": spaces.Box(0, 1, (SIZE, SIZE))}, ("float32", "uint8")),
        (Counter, {"frame_space": spaces.Box(0, 255, (3, SIZE, SIZE), np.uint8)}, ("(3, 8, 8)",)),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(kind, arguments, parts):
    name = register("Bad", kind=kind, **arguments)
    with pytest.raises(UserError) as error:
        gym_environment(EnvSettings(env=name, mask_key="mask"))
    for part in (*parts, name):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
