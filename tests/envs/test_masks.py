"""Masks by pixels: each wrapper on a picture of 6 x 8 whose targets are known."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rl_attn.envs.gym import gym_environment
from rl_attn.envs.masks import BoxMask, ColourMask, IdMask, Seen, TileMask, TwinMask
from rl_attn.envs.registry import EnvSettings
from rl_attn.errors import UserError

RED, BLUE = (200, 10, 10), (10, 10, 200)


class Picture(gymnasium.Env):
    """A red pixel walks along row 2 of a grey picture, a blue block stands at rows 4-5."""

    def __init__(self, red=RED, pay=1.0):
        self.red, self.pay = red, pay
        self.action_space = spaces.Discrete(2)
        self.observation_space = spaces.Box(0, 255, (6, 8, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(3))
        return self.render(), {"boxes": [(self.place, 2, self.place + 1, 3)]}

    def step(self, action):
        self.place += int(action)
        info = {"boxes": [(self.place, 2, self.place + 1, 3)]}
        return self.render(), self.pay, self.place > 5, False, info

    def render(self):
        picture = np.full((6, 8, 3), 90, np.uint8)
        picture[2, self.place] = self.red
        picture[4:, 4:] = BLUE
        return picture

    def ids(self):
        ids = np.zeros((6, 8), np.int32)
        ids[2, self.place], ids[4:, 4:] = 7, 3
        return ids


def walked(env: gymnasium.Env) -> tuple[np.ndarray, np.ndarray]:
    """Frame and mask after one step to the right."""
    env.reset(seed=1)
    observation, *_ = env.step(1)
    return observation["frame"], observation["mask"]


def red(frame: np.ndarray) -> np.ndarray:
    return (frame == RED).all(-1)


def ids(seen: Seen) -> np.ndarray:
    return seen.env.unwrapped.ids()


WRAPPERS = {
    "ids": lambda: IdMask(Picture(), ids, {7}),
    "boxes": lambda: BoxMask(Picture(), lambda seen: seen.info["boxes"]),
    "colours": lambda: ColourMask(Picture(), [RED]),
    "another picture": lambda: ColourMask(Picture(), [7], picture=ids),
    "tiles": lambda: TileMask(Picture(), ids, {7}),
    "a twin's colour": lambda: TwinMask(Picture(), Picture(red=(0, 0, 0)), [(0, 0, 0)]),
    "a twin without targets": lambda: TwinMask(Picture(), Picture(red=(90, 90, 90))),
}


@pytest.mark.parametrize("make", WRAPPERS.values(), ids=WRAPPERS)
def test_every_wrapper_marks_the_red_pixel_and_no_other(make):
    frame, mask = walked(make())
    assert mask.dtype == np.uint8 and mask.sum() == 1
    np.testing.assert_array_equal(mask, red(frame))


@pytest.mark.parametrize("make", WRAPPERS.values(), ids=WRAPPERS)
def test_every_wrapper_is_an_environment_with_a_mask(make):
    gymnasium.register("tests/Masked-v0", entry_point=make)
    try:
        environment = gym_environment(EnvSettings(env="tests/Masked-v0", env_processes=False))
        assert environment.frame_shape == (6, 8, 3) and environment.replays
    finally:
        gymnasium.registry.pop("tests/Masked-v0")


def boxes(*given) -> np.ndarray:
    return walked(BoxMask(Picture(), lambda _: given))[1]


def test_a_box_marks_every_pixel_that_it_touches():
    assert boxes((1.5, 0.2, 3.1, 0.3)).nonzero()[1].tolist() == [1, 2, 3]
    mask = boxes((-4, 5, 1, 99), (7, 5, 8, 6))
    assert [i.tolist() for i in mask.nonzero()] == [[5, 5], [0, 7]]
    assert not boxes().any() and not boxes((-9, 0, -2, 6)).any()


def test_several_ids_and_a_tolerance():
    assert walked(IdMask(Picture(), ids, {3, 7}))[1].sum() == 9
    assert walked(ColourMask(Picture(), [(195, 15, 10)], tolerance=5))[1].sum() == 1
    assert walked(ColourMask(Picture(), [(195, 15, 10)], tolerance=4))[1].sum() == 0


def test_tiles_cover_their_part_of_the_frame():
    tiles = np.array([[0, 5], [0, 0], [1, 5]])
    mask = walked(TileMask(Picture(), lambda _: tiles, {5}))[1]
    assert mask[:2, 4:].all() and mask[4:, 4:].all() and mask.sum() == 16


def test_frames_and_images_may_be_keys_of_the_observation():
    class Keyed(gymnasium.ObservationWrapper):
        def observation(self, observation):
            return {"pixels": observation[..., :1], "labels": self.env.unwrapped.ids()}

    frame, mask = walked(IdMask(Keyed(Picture()), "labels", [7], frame="pixels"))
    assert frame.shape == (6, 8, 1) and mask.sum() == 1
    with pytest.raises(UserError, match="did you mean labels"):
        walked(IdMask(Keyed(Picture()), "label", [7], frame="pixels"))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: IdMask(Picture(), lambda seen: ids(seen).astype(float), [7]), "whole numbers"),
        (lambda: IdMask(Picture(), lambda seen: ids(seen)[1:], [7]), "(5, 8)"),
        (lambda: BoxMask(Picture(), lambda _: [(3, 1, 2, 2)]), "(3, 1, 2, 2)"),
        (lambda: BoxMask(Picture(), lambda _: [1, 2, 3]), "(3,)"),
        (lambda: ColourMask(Picture(), [7]), "1 channels"),
        (lambda: TileMask(Picture(), lambda _: np.zeros((4, 4), int), [1]), "(4, 4) tiles"),
        (lambda: TwinMask(Picture(), Picture(pay=2.0)), "does not play as"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(make, part):
    with pytest.raises(UserError) as error:
        walked(make())
    assert part in str(error.value) and "\n" not in str(error.value)
