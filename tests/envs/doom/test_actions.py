from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from vizdoom import Button

from rl_attn.envs.doom.actions import Actions
from rl_attn.envs.doom.scenarios import SCENARIOS

TURN, ATTACK, SPEED = Button.TURN_LEFT_RIGHT_DELTA, Button.ATTACK, Button.SPEED


def actions(buttons, **settings):
    return Actions(buttons, replace(SCENARIOS["Basic"], **settings))


def test_one_button_at_a_time_is_the_default():
    ours = actions([ATTACK, SPEED])
    assert ours.space == gymnasium.spaces.Discrete(3)
    assert ours.names == ("NOOP", "ATTACK", "SPEED")
    assert [ours.amounts(action) for action in range(3)] == [[0, 0], [1, 0], [0, 1]]


def test_several_buttons_at_once_are_all_sets_of_them():
    ours = actions([ATTACK, SPEED], max_buttons=2)
    assert ours.names == ("NOOP", "ATTACK", "SPEED", "ATTACK+SPEED")
    assert ours.amounts(3) == [1, 1]


def test_a_delta_button_has_an_action_for_each_value_and_never_two_at_once():
    ours = actions([ATTACK, TURN], max_buttons=2, delta_values=(-5.0, 20.0))
    left, right = "TURN_LEFT_RIGHT_DELTA=-5", "TURN_LEFT_RIGHT_DELTA=20"
    assert ours.names == (
        *("NOOP", "ATTACK", left, right),
        *(f"ATTACK+{left}", f"ATTACK+{right}"),
    )
    assert ours.amounts(4) == [1, -5]


def test_binary_actions_add_up():
    ours = actions([ATTACK, TURN], actions="binary", delta_values=(-5.0, 20.0))
    assert ours.space == gymnasium.spaces.MultiBinary(3)
    assert ours.check(np.array([[1, 1, 1], [0, 0, 1]], np.int8), 2) == [[1, 1, 1], [0, 0, 1]]
    assert ours.amounts([1, 1, 1]) == [1, 15]


def test_a_box_presses_above_zero_and_gives_deltas_as_they_are():
    ours = actions([ATTACK, TURN], actions="box", delta_values=(-5.0, 20.0))
    np.testing.assert_array_equal(ours.space.high, [1, 20])
    assert ours.check([[0.25, -3.5], [-2, 90]], 2) == [[0.25, -3.5], [-1, 20]]
    assert ours.amounts([0.25, -3.5]) == [1, -3.5]
    assert ours.amounts([-1, 20]) == [0, 20]


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, [-1]),
        ({}, [1.9]),
        ({}, [7]),
        ({}, ["ATTACK"]),
        ({}, [True]),
        ({}, [[0, 1]]),
        ({"actions": "binary"}, [[2, 0]]),
        ({"actions": "binary"}, [1]),
        ({"actions": "box"}, [[float("nan"), 0]]),
        ({"actions": "box"}, [[0]]),
    ],
)
def test_what_is_no_action_is_refused_with_the_actions_there_are(settings, wrong):
    ours = actions([ATTACK, SPEED], **settings)
    with pytest.raises(ValueError, match=r"are not all of (Discrete|MultiBinary|Box).*ATTACK"):
        ours.check(wrong, 1)


def test_as_many_actions_as_lanes():
    with pytest.raises(ValueError, match="3 actions for 2 lanes"):
        actions([ATTACK]).check([0, 0, 0], 2)


@pytest.mark.parametrize(
    ("buttons", "settings", "words"),
    [
        ([], {}, "no buttons: list available_buttons"),
        ([ATTACK], {"max_buttons": 0}, "max_buttons is 0"),
        ([ATTACK], {"actions": "box", "max_buttons": 2}, "2, which is for discrete actions: box"),
        ([ATTACK], {"actions": "boxes"}, "did you mean box"),
        ([TURN], {"delta_values": (5.0, float("nan"))}, "nan.* are not all numbers"),
        ([Button(number) for number in range(30)], {"max_buttons": 5}, "more than 1024 actions"),
    ],
)
def test_settings_that_make_no_sense_are_refused(buttons, settings, words):
    with pytest.raises(ValueError, match=words):
        actions(buttons, **settings)
