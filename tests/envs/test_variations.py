"""What an environment says of its looks, and training under them."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rl_attn.envs.registry import EnvSettings, find
from rl_attn.envs.variations import variations_of
from rl_attn.errors import UserError

SIZE = 8


class Walls(gymnasium.Env):
    """The frame is the wall's number and, in one pixel, where the game is."""

    action_space = spaces.Discrete(2)
    observation_space = spaces.Dict(
        frame=spaces.Box(0, 255, (SIZE, SIZE), np.uint8), mask=spaces.MultiBinary((SIZE, SIZE))
    )
    variation_space = spaces.Dict(wall=spaces.Discrete(6), light=spaces.Discrete(3))
    held_out = {"wall": (4, 5), "light": (1, 2)}  # noqa: RUF012

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.wall = (options or {}).get("variation", {}).get("wall", 0)
        self.at, self.steps = int(self.np_random.integers(SIZE)), 0
        return self.see(), {}

    def step(self, action):
        self.steps += 1
        return self.see(), float(self.at), self.steps == 4, False, {}

    def see(self):
        frame = np.full((SIZE, SIZE), self.wall, np.uint8)
        frame[0, 0] = 100 + self.at + self.steps
        return {"frame": frame, "mask": np.eye(SIZE, dtype=np.int8)}


class Still(Walls):
    variation_space = None


gymnasium.register("tests/Walls-v0", entry_point=Walls)
gymnasium.register("tests/Still-v0", entry_point=Still)


def played(looks, steps=60, state=None, halfway=30):
    """Frames of two lanes; with a state, the second half alone."""
    settings = EnvSettings(env="tests/Walls-v0", env_processes=False, looks=looks)
    with find(settings).start(2, seed=4) as lanes:
        frames = np.empty((2, *lanes.frame_shape), np.uint8)
        masks = np.empty((2, *lanes.mask_shape), np.uint8)
        if state is None:
            lanes.reset(frames, masks)
        else:
            lanes.load_state_dict(state, frames, masks)
        seen = [frames.copy()]
        for number in range(halfway if state else 0, steps):
            if number == halfway:
                state = lanes.state_dict()
            lanes.step(np.zeros(2, int), frames, masks)
            seen.append(frames.copy())
    return np.array(seen)[..., 0], state


def test_each_episode_draws_a_look_to_train_with_and_plays_the_same_game():
    plain, _ = played("")
    seen, state = played("train:wall")
    walls = seen[:, :, 1, 1]
    assert set(np.unique(walls)) == {1, 2, 3} and not plain[:, :, 1, 1].any()
    np.testing.assert_array_equal(seen[:, :, 0, 0], plain[:, :, 0, 0])
    assert all(len(set(walls[at : at + 4, 0])) == 1 for at in range(0, 60, 4))
    np.testing.assert_array_equal(played("train:wall")[0], seen)
    again, _ = played("train:wall", state=state)
    np.testing.assert_array_equal(again, seen[30:])


def test_all_axes_with_values_in_the_part_are_drawn_from():
    known = variations_of(gymnasium.make("tests/Walls-v0"))
    assert known.numbers("train") == {"wall": [1, 2, 3]}
    assert known.numbers("test") == {"wall": [4, 5], "light": [1, 2]}


@pytest.mark.parametrize(
    ("env", "looks", "words"),
    [
        ("tests/Walls-v0", "train:light", "light has values for test alone"),
        ("tests/Walls-v0", "train:wal", r"did you mean wall\?"),
        ("tests/Still-v0", "train", "tests/Still-v0 has none; give it a variation_space"),
    ],
)
def test_looks_that_there_are_not_are_refused(env, looks, words):
    with pytest.raises(UserError, match=words):
        find(EnvSettings(env=env, looks=looks, env_processes=False))


def test_a_wrapper_may_say_it_and_a_misspelt_axis_is_named():
    class Wrapper(gymnasium.Wrapper):
        variation_space = spaces.Dict(sky=spaces.Discrete(2))
        held_out = {"sky": (1,)}  # noqa: RUF012

    assert variations_of(Wrapper(Still())).numbers("test") == {"sky": [1]}
    Wrapper.held_out = {"ski": (1,)}
    with pytest.raises(UserError, match=r"'ski' \(did you mean sky\?\)"):
        variations_of(Wrapper(Still()))
