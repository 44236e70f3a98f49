"""Doom's scenarios as environments of `rl_attn.envs.registry`."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np

from rl_attn.envs.doom.env import TICS_PER_SECOND
from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.looks import AXES, TARGET_AXES, Looks, numbers_of, sample
from rl_attn.envs.doom.processes import check_shared_memory
from rl_attn.envs.doom.scenarios import CATEGORIES, CATEGORY_PREFIX, Scenario, resolve
from rl_attn.envs.doom.wad_of_looks import Wardrobe
from rl_attn.envs.registry import Environment, EnvSettings
from rl_attn.envs.scaling import parse_size
from rl_attn.envs.variations import Variations
from rl_attn.errors import UserError


def doom_environment(settings: EnvSettings) -> Environment:
    """The scenario of these settings; starts no game."""
    shape = {
        "resolution": (settings.width, settings.height),
        "rgb": settings.rgb,
        "frame_skip": settings.frame_skip,
        "frame_size": parse_size(settings.frame_size),
    }
    try:
        scenario = resolve(
            settings.env,
            settings.targets or None,
            actions=settings.actions,
            max_buttons=settings.max_buttons,
            delta_values=settings.delta_values or None,
            wad=settings.wad or None,
        )
        looks = Looks.given(settings.looks or None)
        game = Game(scenario, **shape, looks=() if looks is None else looks.looks)
    except ValueError as error:
        raise UserError(str(error)) from None
    return Environment(
        name=settings.env,
        frame_shape=game.frame_shape,
        mask_shape=game.mask_shape,
        action_space=game.actions.space,
        action_names=game.actions.names,
        fps=Fraction(TICS_PER_SECOND, settings.frame_skip),
        replays=True,
        objects=_objects(scenario),
        start=partial(Lanes, scenario, looks=looks, **shape),
        variations=partial(_variations, scenario),
        check_room=partial(check_shared_memory, frame_shape=game.screen_shape),
    )


def _variations(scenario: Scenario) -> Variations:
    """All axes of looks that the scenario can have."""
    possible, impossible = {}, {}
    for axis in AXES:
        try:
            Wardrobe(scenario, [sample([axis], "test", np.random.default_rng(0))])
            possible[axis] = numbers_of(axis)
        except UserError as error:
            impossible[axis] = str(error)
    return Variations(possible, TARGET_AXES, impossible)


def _objects(scenario: Scenario) -> tuple[str, ...]:
    """Names of the targets; of a category, those that the scenario shows."""
    names: list[str] = []
    for target in scenario.targets:
        category = target.removeprefix(CATEGORY_PREFIX)
        same = [name for name in scenario.shown if CATEGORIES.get(name) == category]
        names += same if category != target else [target]
    return tuple(dict.fromkeys(names))
