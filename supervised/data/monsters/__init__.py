"""`monsters`: fine-grained pictures from Doom, with exact masks, rendered here.

Up to 14 kinds of monsters on up to 14 maps of Freedoom 2, which comes with the vizdoom package, so
nothing is downloaded. `split` says what the map (the background) has to do with the class:

iid               nothing: every monster is on every map, in every split.
shortcut          the map gives the class away in a share `bias` of train, validation and test;
                  in "test-shifted" it always lies, in "test-unbiased" it says nothing.
waterbirds        two classes, soldiers and beasts, two kinds of maps, bases and hell; `groups` are
                  their four combinations. As in Waterbirds (Sagawa et al. 2020) a share `bias` of
                  the pool is on the kind of map that is its own; "test-unbiased" has all groups
                  alike, and is what the accuracy of the worst group is taken over.
background-shift  iid on three quarters of the maps. "test-original" has the same distribution;
                  "test-swapped" the same foregrounds, pixel by pixel, over the other maps;
                  "test-new-maps" monsters that stand on the other maps.

The pool (train, validation, test) is what folds are dealt from; the other splits share no picture
with it. How a picture is made is told in `rl_attn.envs.doom.studio`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rl_attn.envs.doom.freedoom import MONSTERS
from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD, DataSet, Split
from rl_attn.supervised.data.monsters import gallery, plans
from rl_attn.supervised.data.monsters.photographs import HEIGHTS, Photographs
from rl_attn.supervised.data.registry import LOADERS

Kind = Literal["iid", "shortcut", "waterbirds", "background-shift"]

#: In the order in which a set of fewer takes them: bases and hell in turns.
MAPS = tuple(f"MAP{n:02d}" for n in (1, 29, 11, 30, 5, 24, 16, 26, 2, 28, 20, 22, 7, 25))
SOLDIERS = ("Zombieman", "ShotgunGuy", "ChaingunGuy")
BEASTS = ("Demon", "DoomImp", "HellKnight")


@LOADERS.register("monsters")
def monsters(
    root: Path | None = None,
    *,
    split: Kind = "iid",
    classes: int = 8,
    maps: int = 8,
    size: int = 64,
    pictures: int = 120,
    extra: int = 10,
    bias: float = 0.95,
    seed: int = 0,
) -> DataSet:
    """Load the set, from the cache or by rendering it.

    Args:
        root: of no use here.
        split: see the head of this file.
        classes: kinds of monsters, 2 to 14; "waterbirds" has its own six.
        maps: 2 to 14; "shortcut" needs one for each class.
        size: pixels of a side, up to 960; cut from a screen at least as high and scaled down.
        pictures: of each monster in the pool.
        extra: of each monster on each map in the tests outside of the pool.
        bias: share of the pool in which the map gives the class away.
        seed: of pictures and splits.
    """
    names = (*SOLDIERS, *BEASTS) if split == "waterbirds" else tuple(MONSTERS)[:classes]
    _check(split, classes, maps, size, pictures, extra, bias)
    rng = np.random.default_rng([seed, 2])
    plan = _plan(split, len(names), maps, pictures, extra, bias, rng)
    taken = _taken(plan, names, split, maps, size, seed)
    splits = {name: _collect(rows, taken, names) for name, rows in plan.splits.items()}
    if split == "background-shift":
        rows = plan.splits["test-original"]
        empty = torch.cat([taken[map_name, None].images for map_name in MAPS[_seen(maps) : maps]])
        order = torch.from_numpy(rng.permutation(len(empty))[: len(rows)])
        splits["test-swapped"] = _swapped(rows, taken, names, empty[order])
    group_names: tuple[str, ...] = ()
    if split == "waterbirds":
        splits = {name: _grouped(splits[name], rows) for name, rows in plan.splits.items()}
        names = ("soldier", "beast")
        group_names = tuple(f"{n} {place}" for n in names for place in ("in a base", "in hell"))
    return DataSet(
        name="monsters",
        classes=names,
        splits=splits,
        mask_meaning="the monster: the pixels that the engine drew it on",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        group_names=group_names,
    )


def _check(
    split: Kind, classes: int, maps: int, size: int, pictures: int, extra: int, bias: float
) -> None:
    limits = {
        "classes": (classes, 2, len(MONSTERS)),
        "maps": (maps, 2, len(MAPS)),
        "size": (size, 8, HEIGHTS[-1]),
        "pictures": (pictures, 8, 100_000),
        "extra": (extra, 1, 100_000),
        "bias": (bias, 0.0, 1.0),
    }
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            raise UserError(f"{name} of monsters is {value}: choose from {least} to {most}")
    if split == "shortcut" and maps < classes:
        raise UserError(
            f"shortcut needs a map for each class: {classes} classes, maps is {maps}; raise maps "
            "or take fewer classes"
        )


def _seen(maps: int) -> int:
    """Of the maps of "background-shift", how many are trained on."""
    return max(1, maps * 3 // 4)


def _plan(
    split: Kind,
    classes: int,
    maps: int,
    pictures: int,
    extra: int,
    bias: float,
    rng: np.random.Generator,
) -> plans.Plan:
    if split == "iid":
        return plans.iid(maps, classes, pictures, rng)
    if split == "shortcut":
        return plans.shortcut(maps, classes, pictures, extra, bias, rng)
    if split == "background-shift":
        return plans.background_shift(_seen(maps), maps, classes, pictures, extra, rng)
    places = [list(range(0, maps, 2)), list(range(1, maps, 2))]
    kinds = [list(range(len(SOLDIERS))), list(range(len(SOLDIERS), classes))]
    return plans.groups(places, kinds, pictures, extra, bias, rng)


def _taken(
    plan: plans.Plan, names: tuple[str, ...], split: Kind, maps: int, size: int, seed: int
) -> dict[gallery.Pair, Photographs]:
    """Exactly the pictures that a plan counts on, and for "test-swapped" the empty new maps."""
    needed: dict[gallery.Pair, int] = {
        (MAPS[m], names[c]): count for (m, c), count in plan.taken.items() if count
    }
    if split == "background-shift":
        new = MAPS[_seen(maps) : maps]
        each = -(-len(plan.splits["test-original"]) // len(new))  # rounded up
        needed |= {(map_name, None): each for map_name in new}
    found = gallery.gather(needed, size, seed)
    return {
        pair: Photographs(*(part[: needed[pair]] for part in (p.images, p.masks, p.foregrounds)))
        for pair, p in found.items()
    }


def _collect(
    rows: np.ndarray, taken: dict[gallery.Pair, Photographs], names: tuple[str, ...]
) -> Split:
    """The pictures that a plan's rows (M, 3) name, in that order."""
    chosen = [(taken[MAPS[m], names[c]], number) for m, c, number in rows]
    return Split(
        images=torch.stack([photographs.images[number] for photographs, number in chosen]),
        labels=torch.from_numpy(rows[:, 1].copy()),
        masks=torch.stack([photographs.masks[number] for photographs, number in chosen]),
    )


def _swapped(
    rows: np.ndarray,
    taken: dict[gallery.Pair, Photographs],
    names: tuple[str, ...],
    backgrounds: Tensor,
) -> Split:
    """Monsters cut out along their masks, over backgrounds uint8 (M, 3, S, S)."""
    there = _collect(rows, taken, names)
    foregrounds = torch.stack([taken[MAPS[m], names[c]].foregrounds[n] for m, c, n in rows])
    through = 1 - there.masks[:, None].float() / 255  # (M, 1, S, S)
    images = (foregrounds + through * backgrounds).round().clamp(0, 255).to(torch.uint8)
    return Split(images, there.labels, there.masks)


def _grouped(part: Split, rows: np.ndarray) -> Split:
    """Labels and groups of "waterbirds" in place of the kinds of monsters."""
    label = (part.labels >= len(SOLDIERS)).long()
    place = torch.from_numpy(rows[:, 0] % 2)
    return Split(part.images, label, part.masks, 2 * label + place)
