"""Rendered Doom pictures with what is known of each: what the offline teacher learns from.

Two sources: monsters summoned on Freedoom's maps (`envs.doom.studio`), with the same places empty,
and frames of the scenarios that agents play, under a random policy. Of each picture it is noted
which monsters are in view, never where.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from rl_attn.envs.doom.freedoom import MAPS, MONSTERS
from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.scenarios import resolve
from rl_attn.envs.doom.studio import Studio
from rl_attn.teachers.captions import Scene, colour_of
from rl_attn.teachers.doom_prompts import WORDS

#: (H, W) at which pictures are kept: Doom's proportions, a little more than the network sees.
SIZE = (72, 96)
SCENARIOS = ("Basic", "DefendLine", "DefendCenter", "TakeCover")
HELD_OUT = MAPS[7::8]  # maps that no picture for training comes from

_THREADS = 4
_COVERAGE = (0.05, 0.5)  # a tenth of the picture in the median: smaller ones are hard to tell apart
_EVERY = 3  # of the places one in three is kept as an empty scene
_HELD = 8  # decisions for which the random policy holds an action, so that it gets around


class Pictures(NamedTuple):
    images: Tensor  # uint8 (N, 3, *SIZE)
    scenes: list[Scene]


def render(
    maps: tuple[str, ...],
    each: int,
    frames: int,
    seed: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> Pictures:
    """`each` pictures of every monster on every map, and `frames` frames of every scenario."""
    sources = [(level, partial(of_map, level, each, seed)) for level in maps]
    sources += [(name, partial(of_scenario, name, frames, seed)) for name in SCENARIOS if frames]
    images, scenes = [], []
    with ThreadPoolExecutor(_THREADS) as pool:  # the games are processes: the threads only wait
        found = pool.map(lambda source: list(source[1]()), sources)
        for (name, _), pictures in zip(sources, found, strict=True):
            images += [image for image, _ in pictures]
            scenes += [scene for _, scene in pictures]
            report(f"{len(images):,} pictures, {name} done")
    return Pictures(torch.stack(images), scenes)


def of_map(level: str, each: int, seed: int) -> Iterator[tuple[Tensor, Scene]]:
    """Every monster on one of Freedoom's maps, and some of the places without it."""
    number = 0
    with Studio(level) as studio:
        for monster in MONSTERS:
            random = np.random.default_rng([seed, *monster.encode(), *level.encode()])
            for view in islice(studio.views(monster, random, _COVERAGE), each):
                place = _small(studio.without(monster))
                colour = colour_of(place)
                yield _small(view.picture), Scene((WORDS[monster],), colour)
                number += 1
                if number % _EVERY == 0:
                    yield place, Scene((), colour)


def of_scenario(name: str, frames: int, seed: int) -> Iterator[tuple[Tensor, Scene]]:
    """Frames that a random policy sees, the weapon and all."""
    game, random = Game(resolve(name), rgb=True), np.random.default_rng(seed)
    frame, mask = np.empty(game.frame_shape, np.uint8), np.empty(game.mask_shape, np.uint8)
    over, action = True, 0
    try:
        for number in range(frames * 2):
            if over:
                game.start(int(random.integers(2**31)), frame, mask)
            if number % _HELD == 0:
                action = int(random.integers(game.actions.space.n))
            _, terminated, truncated = game.step(action, frame, mask)
            over = terminated or truncated
            if number % 2 == 0:  # the next frame looks much like this one
                monsters = sorted(WORDS[seen] for seen in game.visible() if seen in WORDS)
                image = _small(frame)
                yield image, Scene(tuple(monsters), colour_of(image))
    finally:
        game.close()


def _small(picture: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) to (3, *SIZE)."""
    image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
    return resize(image, list(SIZE), antialias=True)
