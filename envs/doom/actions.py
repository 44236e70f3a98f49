"""How actions press the buttons of a game: one at a time, several at once, or by how much.

    discrete   Discrete(n): action 0 does nothing, the others press every set of up to `max_buttons`
               buttons, single ones first, in the order of the scenario file
    binary     MultiBinary(n): each button pressed or not
    box        Box(n): each number is a button; above 0 presses it

A delta button (TURN_LEFT_RIGHT_DELTA) takes an amount, such as degrees. In "discrete" and "binary"
it counts as one button for each of `delta_values`; in "box" it takes the number itself, up to the
greatest of `delta_values` in size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import gymnasium
import numpy as np
import vizdoom

from rl_attn.envs.doom.scenarios import Scenario
from rl_attn.errors import UserError, choose

KINDS = ("discrete", "binary", "box")
MOST_ACTIONS = 1024  # of "discrete": a policy with more outputs than that is a mistake


class Actions:
    """The actions of one scenario. `space` is gymnasium's; `names` one name an action or number."""

    def __init__(self, buttons: Sequence[vizdoom.Button], scenario: Scenario) -> None:
        """ValueError for settings of the scenario that make no sense."""
        if not buttons:
            raise UserError(f"{scenario.name} has no buttons: list available_buttons in its file")
        choose("kind of actions", scenario.actions, KINDS)
        if not np.isfinite(scenario.delta_values).all():
            raise UserError(
                f"delta_values {scenario.delta_values} are not all numbers: correct them"
            )
        if scenario.actions != "discrete" and scenario.max_buttons != 1:
            raise UserError(
                f"max_buttons is {scenario.max_buttons}, which is for discrete actions: "
                f"{scenario.actions} ones press any number of buttons at once; leave it out"
            )
        self._buttons = buttons
        presses = _presses(buttons, scenario)  # (button, amount, name)
        if scenario.actions == "box":
            limits = [_limit(button, scenario) for button in buttons]
            high = np.array(limits, np.float32)
            self.space = gymnasium.spaces.Box(-high, high, dtype=np.float32)
            self.names = tuple(button.name for button in buttons)
        elif scenario.actions == "binary":
            self.space = gymnasium.spaces.MultiBinary(len(presses))
            self.names = tuple(name for _, _, name in presses)
        else:
            sets = _sets(presses, scenario)
            self.space = gymnasium.spaces.Discrete(len(sets))
            self.names = tuple("+".join(name for _, _, name in chosen) or "NOOP" for chosen in sets)
            presses = sets
        self._kind = scenario.actions
        self._table = self._amounts(presses)

    def _amounts(self, presses: list) -> list[list[float]]:
        """What ViZDoom is told for each action (or each bit): one amount a button."""
        table = []
        for chosen in presses if self._kind == "discrete" else [[press] for press in presses]:
            row = [0.0] * len(self._buttons)
            for button, amount, _ in chosen:
                row[button] = amount
            table.append(row)
        return table

    def amounts(self, action: object) -> list[float]:
        """What to tell ViZDoom, for an action that `check` has passed."""
        if self._kind == "discrete":
            return self._table[action]
        if self._kind == "binary":
            return np.asarray(action, np.float64).dot(self._table).tolist()
        numbers = np.asarray(action, np.float64).tolist()
        return [
            number if vizdoom.is_delta_button(button) else float(number > 0)
            for button, number in zip(self._buttons, numbers, strict=True)
        ]

    def check(self, actions: object, count: int) -> list:
        """`actions` (count, ...) as Python numbers; a UserError that names the wrong one."""
        array = np.asarray(actions)
        if array.shape[:1] != (count,):
            raise UserError(f"{len(array) if array.ndim else 1} actions for {count} lanes")
        if self._kind == "discrete":
            fits = array.ndim == 1 and array.dtype.kind in "iu"
            fits = fits and bool(((array >= 0) & (array < self.space.n)).all())
        else:
            fits = array.shape[1:] == self.space.shape and array.dtype.kind in "biuf"
            numbers = np.isin(array, (0, 1)) if self._kind == "binary" else np.isfinite(array)
            fits = fits and bool(numbers.all())
        if not fits:
            self._refuse(array)
        if self._kind == "box":
            array = array.clip(self.space.low, self.space.high)
        return array.tolist()

    def _refuse(self, array: np.ndarray) -> None:
        listed = ", ".join(f"{number} {name}" for number, name in enumerate(self.names[:24]))
        more = ", ..." if len(self.names) > 24 else ""
        shown = array.tolist() if len(array) > 1 else array.tolist()[0]
        raise UserError(f"actions {shown} are not all of {self.space}: {listed}{more}")


def _limit(button: vizdoom.Button, scenario: Scenario) -> float:
    if not vizdoom.is_delta_button(button):
        return 1.0
    return max((abs(value) for value in scenario.delta_values), default=1.0)


def _presses(buttons: Sequence[vizdoom.Button], scenario: Scenario) -> list[tuple[int, float, str]]:
    """(button, amount, name) of all that can be pressed."""
    presses = []
    for index, button in enumerate(buttons):
        if vizdoom.is_delta_button(button):
            presses += [(index, v, f"{button.name}={v:g}") for v in scenario.delta_values]
        else:
            presses.append((index, 1.0, button.name))
    return presses


def _sets(presses: list, scenario: Scenario) -> list[tuple]:
    """Sets of up to `max_buttons` presses, no button twice; the empty one first."""
    if scenario.max_buttons < 1:
        raise UserError(f"max_buttons is {scenario.max_buttons}: it must be at least 1")
    sets: list[tuple] = []
    buttons = len({button for button, _, _ in presses})
    for size in range(min(scenario.max_buttons, buttons) + 1):
        for chosen in combinations(presses, size):
            if len({button for button, _, _ in chosen}) == size:
                sets.append(chosen)
            if len(sets) > MOST_ACTIONS:
                raise UserError(
                    f"{scenario.name} with max_buttons={scenario.max_buttons} has more than "
                    f"{MOST_ACTIONS} actions: take fewer, or actions='binary'"
                )
    return sets
