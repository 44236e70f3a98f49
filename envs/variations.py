"""What of an environment can look another way while the game stays the same one.

    variations = find(settings).variations()          # None where nothing can
    variations.select("test:light,noise", count=2)    # {"light": [{"light": 5}, ...], ...}

A variation is a number an axis: 0, and any axis that is not named, is plain. Axes have numbers to
train with and others that are held out. A gymnasium environment says all this itself:

    self.variation_space = spaces.Dict(wall=spaces.Discrete(4))
    self.held_out = {"wall": (2, 3)}         # may be left out: all but 0, in training as in tests
    self.target_axes = ("monster",)          # may be left out: those that change the targets too
    def reset(self, *, seed=None, options=None):
        wall = (options or {}).get("variation", {}).get("wall", 0)

A reset with the same seed must begin the same game whatever the variation is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_attn.errors import UserError, choose

PARTS = ("train", "test")

#: A number by axis; axes that are not named are plain.
Variation = dict[str, int]


@dataclass(frozen=True)
class Numbers:
    """The values of one axis: number -> what it is, for people."""

    train: dict[int, str]
    test: dict[int, str]  # held out from training


@dataclass(frozen=True)
class Variations:
    """See the head of this file."""

    axes: dict[str, Numbers]
    target_axes: tuple[str, ...] = ()  # change the targets' own pixels: "all" leaves them out
    impossible: dict[str, str] = field(default_factory=dict)  # axis -> why not in this environment

    @property
    def controls(self) -> list[str]:
        """The axes that change the targets too, of those that there are."""
        return [axis for axis in self.target_axes if axis in self.axes]

    def numbers(self, text: str) -> dict[str, list[int]]:
        """By axis, its values of "PART" or "PART:axis,axis"; never empty.

        UserError for a part or an axis that there is not, or that has no values in that part.
        """
        part, named = split(text)
        for axis in named:
            choose("axis of looks", axis, [*self.axes, *self.impossible])
            if axis in self.impossible:
                raise UserError(self.impossible[axis])
        found = {axis: list(getattr(numbers, part)) for axis, numbers in self.axes.items()}
        chosen = named or [axis for axis in found if axis not in self.target_axes and found[axis]]
        lacking = [axis for axis in chosen if not found[axis]]
        if lacking or not chosen:
            if not lacking and set(found) <= set(self.target_axes):
                raise UserError(
                    f"looks {text}: every axis changes the targets too: name those that you want, "
                    f"{part}:{','.join(found)}"
                )
            what = ", ".join(lacking) or "every axis"
            other = "test" if part == "train" else "train"
            raise UserError(
                f"looks {text}: {what} has values for {other} alone: ask for those, or change the "
                "environment's `held_out`"
            )
        return {axis: found[axis] for axis in chosen}

    def select(self, text: str, count: int) -> dict[str, list[Variation]]:
        """The first `count` of each axis' `numbers`, one a variation."""
        found = self.numbers(text)
        return {axis: [{axis: n} for n in listed[:count]] for axis, listed in found.items()}

    def name(self, variation: Variation) -> str:
        """ "light 0.65"; "plain" for nothing."""
        named = [
            f"{axis} {(self.axes[axis].train | self.axes[axis].test)[number]}"
            for axis, number in variation.items()
        ]
        return ", ".join(named) or "plain"


def split(text: str) -> tuple[str, list[str]]:
    """The part and the axes of "train:surfaces,light"; no axes for "train" and "train:all"."""
    part, _, listed = text.partition(":")
    choose("part of the looks", part, PARTS)
    axes = [axis.strip() for axis in listed.split(",") if axis.strip()]
    return part, [] if axes == ["all"] else axes


def drawn(numbers: dict[str, list[int]], episode_seed: int) -> Variation:
    """The variation of the episode with that seed, always the same: one value of each axis."""
    rng = np.random.default_rng([episode_seed, 0x100C])
    return {axis: int(rng.choice(listed)) for axis, listed in numbers.items()}


def variations_of(env: Any) -> Variations | None:
    """What a gymnasium environment says of itself; None if it has no `variation_space`."""

    def said(name: str, default: Any) -> Any:
        return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else default

    space = said("variation_space", None)
    if space is None:
        return None
    held_out, targets = said("held_out", {}), tuple(said("target_axes", ()))
    for axis in (*held_out, *targets):
        choose("axis of the environment's variation_space:", axis, list(space))
    axes = {}
    for axis, numbers in space.items():
        every = range(1, int(numbers.n))
        test = held_out.get(axis, every)
        if unknown := [n for n in test if n not in every]:
            raise UserError(
                f"held_out[{axis!r}] has {unknown[0]}, and the axis has 1 to {len(every)}: "
                "correct the environment"
            )
        train = [n for n in every if axis not in held_out or n not in test]
        axes[axis] = Numbers(_named(train), _named(test))
    return Variations(axes, targets)


def _named(numbers: Iterable[int]) -> dict[int, str]:
    return {int(number): str(number) for number in numbers}
