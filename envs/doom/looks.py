"""Looks: what a scenario looks like, apart from the game that it is.

    looks = Looks.parse("train:surfaces,light")      # 64 of them, drawn from a seed
    Lanes("DefendCenter", 8, looks=looks)            # another one each episode
    Lanes("DefendCenter", 8, looks=[Look(light=0.7)])       # always the same one

An episode has the same masks, rewards and end under every look that leaves its targets alone, tic
for tic, for the same seed and actions: such episodes are twins. Each axis has values to train with
and others that are held out:

    surfaces      walls, floors, ceilings, sky: Freedoom's, noise, stripes, natural images
    light         times the light that there is; darker targets too
    height        of ceilings, times what it is, in maps with one height
    motion        walls that scroll with the game's time
    decorations   small things that hang from the ceiling
    tint, noise   of the frame as it is drawn, targets too

    colour, translucency      of the targets themselves: named apart, because they change what the
                              agent should attend to (a new game process in each episode)

`wad_of_looks.py` makes the maps, `frame_looks.py` what is done to frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import gymnasium
import numpy as np

from rl_attn.envs.variations import Numbers, split
from rl_attn.errors import UserError, choose


@dataclass(frozen=True)
class Look:
    """One value of each axis. The defaults are the plain look."""

    surfaces: int = 0  # number of a set of surfaces; 0: the scenario's own
    light: float = 1.0  # factor
    height: float = 1.0  # factor
    motion: int = 0  # of walls, in map units a second to the left
    decorations: int = 0  # number of a set of places; 0: none
    tint: float = 0.0  # added to the colours, by channel: see `frame_looks.py`
    noise: int = 0  # standard deviation in grey levels
    colour: str = ""  # of the targets; "": their own
    translucency: float = 0.0  # of the targets, from 0 to 1

    @property
    def map(self) -> Look:
        """What of it is in the map that the engine plays."""
        return replace(self, tint=0.0, noise=0, colour="", translucency=0.0)

    @property
    def actors(self) -> Look:
        """What of it is in the definitions that the engine starts with."""
        return Look(colour=self.colour, translucency=self.translucency)


PLAIN = Look()


@dataclass(frozen=True)
class Axis:
    """The values of one field of `Look`: (to train with, held out)."""

    train: tuple[Any, ...]
    test: tuple[Any, ...]


AXES: dict[str, Axis] = {
    "surfaces": Axis(tuple(range(1, 401)), tuple(range(401, 501))),
    "light": Axis((0.6, 0.7, 0.8, 1.15), (0.65, 0.75, 1.2)),
    "height": Axis((1.25, 1.5, 2.0, 4.0), (1.75, 3.0)),
    "motion": Axis((16, 32, 64, 96), (48, 127)),
    "decorations": Axis(tuple(range(1, 41)), tuple(range(41, 51))),
    "tint": Axis((-0.5, -0.3, 0.3, 0.5), (-0.4, 0.4)),
    "noise": Axis((8, 16, 24), (12, 32)),
    "colour": Axis(("blue", "green", "grey"), ("yellow", "red")),
    "translucency": Axis((0.3, 0.5), (0.4, 0.65)),
}

#: Axes that change the targets' own pixels by design. "all" leaves them out.
TARGET_AXES = ("colour", "translucency")


class Looks:
    """A set of looks, from which each episode's seed picks one."""

    def __init__(self, looks: Iterable[Look], name: str = "") -> None:
        """name: says in saved states which set it is; by default that of its looks."""
        self.looks = tuple(looks)
        if not self.looks:
            raise UserError("no looks given: give at least one")
        self.name = name or repr(self.looks)

    @classmethod
    def given(cls, looks: Looks | Iterable[Look] | str | None) -> Looks | None:
        """What an argument `looks` means: a set, its looks, its text, or none."""
        if looks is None or isinstance(looks, Looks):
            return looks
        return cls.parse(looks) if isinstance(looks, str) else cls(looks)

    @classmethod
    def parse(cls, text: str, count: int = 64, seed: int = 0) -> Looks:
        """Of "train:surfaces,light", "test:all", ...: `count` looks that vary on these axes.

        UserError with the choices for an unknown axis or part.
        """
        part, axes = split(text)
        axes = axes or [axis for axis in AXES if axis not in TARGET_AXES]
        rng = np.random.default_rng(seed)
        looks = [sample(axes, part, rng) for _ in range(count)]
        return cls(looks, f"{part}:{','.join(axes)}, {count} of seed {seed}")

    def of(self, episode_seed: int) -> Look:
        """The look of the episode with that seed, always the same one."""
        rng = np.random.default_rng([episode_seed, 0x100C])
        return self.looks[rng.integers(len(self.looks))]


def sample(axes: Iterable[str], part: str, rng: np.random.Generator) -> Look:
    """A look that is plain but for these axes, with values of "train" or "test"."""
    drawn = {}
    for axis in axes:
        values = getattr(AXES[choose("axis of looks", axis, AXES)], part)
        drawn[axis] = values[rng.integers(len(values))]
    return Look(**drawn)


def variation_space() -> gymnasium.spaces.Dict:
    """For each axis the number of a value: 0 plain, then those to train with, then the others."""
    return gymnasium.spaces.Dict(
        {axis: gymnasium.spaces.Discrete(len(_values(axis))) for axis in AXES}
    )


def look_of_variation(variation: Any, rng: np.random.Generator) -> Look:
    """The look that `reset(options={"variation": ...})` asks for.

    A list of axes: each drawn by `rng` from its values to train with. A dict: numbers of
    `variation_space` by axis. A Look: itself. UserError for what there is not.
    """
    if isinstance(variation, Look):
        return variation
    if not isinstance(variation, Iterable):
        raise UserError(f"a variation is axes, or their numbers by axis, got {variation!r}")
    if not isinstance(variation, dict):
        listed = [variation] if isinstance(variation, str) else list(variation)
        return sample(listed, "train", rng)
    space, chosen = variation_space(), {}
    for axis, number in variation.items():
        choose("axis of looks", axis, AXES)
        if not space[axis].contains(number):
            raise UserError(f"{axis} has no value {number}: choose from 0 to {space[axis].n - 1}")
        chosen[axis] = _values(axis)[int(number)]
    return Look(**chosen)


def look_of_episode(looks: Looks | None, variation: Any, episode_seed: int) -> Look:
    """The look of the episode with that seed: as `variation` says, if it is not None."""
    if variation is not None:
        return look_of_variation(variation, np.random.default_rng([episode_seed, 0x7A6]))
    return PLAIN if looks is None else looks.of(episode_seed)


def numbers_of(axis: str) -> Numbers:
    """The numbers in `variation_space` of an axis' values."""
    names = [str(value) for value in _values(axis)]
    held_out = 1 + len(AXES[axis].train)
    return Numbers(
        train={number: names[number] for number in range(1, held_out)},
        test={number: names[number] for number in range(held_out, len(names))},
    )


def variation_of(look: Look) -> dict[str, int]:
    """The numbers of a look's values in `variation_space`."""
    return {axis: _values(axis).index(value) for axis, value in asdict(look).items()}


def _values(axis: str) -> tuple[Any, ...]:
    plain = {field.name: field.default for field in fields(Look)}[axis]
    return (plain, *AXES[axis].train, *AXES[axis].test)
