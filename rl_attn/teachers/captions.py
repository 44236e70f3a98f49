"""Captions of rendered Doom pictures: the monsters that are shown, and the colour of the place.

A `Scene` is all that is known of a picture, a `Caption` tells some of it. Which monsters are in
view is known of the picture as a whole: where they are is never said, and never used in training.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.colors import rgb_to_hsv
from torch import Tensor

#: The hue, in turns of the colour circle, up to which a colour is called so.
HUES = ((0.035, "red"), (0.11, "brown"), (0.19, "yellow"), (0.45, "green"), (0.75, "blue"))
_PALE = 0.2  # places whose mean saturation is lower are gray

_MONSTER = {
    True: ("a {} in front of a {} wall", "a {} in a {} room"),
    False: ("a {}", "a picture of a {}", "a {} in a room"),
}
_EMPTY = {
    True: ("a {} wall", "a {} floor", "an empty {} room"),
    False: ("a wall", "a floor", "an empty room", "a picture of a wall"),
}


class Scene(NamedTuple):
    monsters: tuple[str, ...]  # words, in alphabetical order; none: an empty place
    colour: str  # of the place


class Caption(NamedTuple):
    text: str
    monsters: tuple[str, ...]
    colour: str | None  # None: not said

    def holds_of(self, scene: Scene) -> bool:
        return self.monsters == scene.monsters and self.colour in (None, scene.colour)


def describe(scene: Scene, random: np.random.Generator, colour: bool = True) -> Caption:
    """One of the sentences about a scene; every second one names the colour, if it may."""
    colour = bool(colour and random.random() < 0.5)
    said = scene.colour if colour else None
    if not scene.monsters:
        text = str(random.choice(_EMPTY[colour])).format(said)
    else:
        monsters = " and a ".join(scene.monsters)
        text = str(random.choice(_MONSTER[colour])).format(monsters, said)
    return Caption(with_articles(text), scene.monsters, said)


def with_articles(text: str) -> str:
    """ "a imp and a demon" -> "an imp and a demon"."""
    words = text.split()
    for i, following in enumerate(words[1:]):
        if words[i] == "a" and following[0] in "aeio":
            words[i] = "an"
    return " ".join(words)


def colour_of(place: Tensor) -> str:
    """What the colour of a place, uint8 (3, H, W), is called: its commonest hue, or gray."""
    hue, saturation, value = np.moveaxis(rgb_to_hsv(place.permute(1, 2, 0).numpy() / 255), -1, 0)
    if np.average(saturation, weights=value + 1e-6) < _PALE:
        return "gray"
    names = [*(name for _, name in HUES), "red"]  # the circle ends where it begins
    number = np.searchsorted([limit for limit, _ in HUES], hue.ravel())
    votes = np.bincount(number, (saturation * value).ravel(), minlength=len(names))
    return names[int(votes.argmax())]
