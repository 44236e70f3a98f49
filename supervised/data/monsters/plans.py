"""Which picture goes where: the splits of `monsters` as lists of (map, class, number).

A plan only counts; then as many pictures are taken of each pair as it needs. No number
is handed out twice, so no picture is in two splits that should be apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

SHARES = (0.7, 0.15, 0.15)  # of the pool, for train, validation and test


@dataclass
class Plan:
    """Splits by name, each (M, 3) int: indices of map and monster, and a picture's number."""

    taken: Counter = field(default_factory=Counter)
    splits: dict[str, np.ndarray] = field(default_factory=dict)

    def take(self, wanted: Iterable[tuple[int, int, int]]) -> np.ndarray:
        """New pictures (M, 3) for (map, monster, how many)."""
        rows = []
        for map_index, monster, count in wanted:
            first = self.taken[map_index, monster]
            rows += [(map_index, monster, first + i) for i in range(count)]
            self.taken[map_index, monster] += count
        return np.array(rows, dtype=np.int64).reshape(-1, 3)

    def deal(self, pool: np.ndarray, keys: np.ndarray, rng: np.random.Generator) -> None:
        """Divide the pool into train, validation and test, each key (M,) in equal shares."""
        parts: list[list[np.ndarray]] = [[], [], []]
        for key in np.unique(keys):
            rows = rng.permutation(pool[keys == key])
            ends = np.cumsum(np.round(np.multiply(SHARES[:2], len(rows)))).astype(int)
            for part, piece in zip(parts, np.split(rows, ends), strict=True):
                part.append(piece)
        for name, part in zip(("train", "validation", "test"), parts, strict=True):
            self.splits[name] = np.concatenate(part)


def spread(count: int, bins: Sequence[int]) -> list[tuple[int, int]]:
    """(bin, share): `count` divided as evenly as it goes; the first bins get what is left over."""
    return [(b, count // len(bins) + (i < count % len(bins))) for i, b in enumerate(bins)]


def iid(maps: int, classes: int, pictures: int, rng: np.random.Generator) -> Plan:
    """Every monster on every map equally often, in every split."""
    plan = Plan()
    pool = plan.take((m, c, n) for c in range(classes) for m, n in spread(pictures, range(maps)))
    plan.deal(pool, pool[:, 1], rng)
    return plan


def shortcut(
    maps: int, classes: int, pictures: int, extra: int, bias: float, rng: np.random.Generator
) -> Plan:
    """Monster c stands on map c in a share `bias` of the pool and elsewhere in the rest.

    "test-unbiased" and "validation-unbiased" have every pair equally often, "test-shifted" those
    pairs of the former that the pool hardly has: there the map always lies.
    """
    plan, own = Plan(), round(pictures * bias)
    pool = []
    for c in range(classes):
        others = rng.permutation([m for m in range(maps) if m != c]).tolist()
        pool += [(c, c, own), *((m, c, n) for m, n in spread(pictures - own, others))]
    pool = plan.take(pool)
    plan.deal(pool, pool[:, 1] * 2 + (pool[:, 0] == pool[:, 1]), rng)
    every = [(m, c) for c in range(classes) for m in range(maps)]
    plan.splits["validation-unbiased"] = plan.take((m, c, max(extra // 2, 1)) for m, c in every)
    unbiased = plan.take((m, c, extra) for m, c in every)
    plan.splits["test-unbiased"] = unbiased
    plan.splits["test-shifted"] = unbiased[unbiased[:, 0] != unbiased[:, 1]]
    return plan


def groups(
    places: list[list[int]],
    kinds: list[list[int]],
    pictures: int,
    extra: int,
    bias: float,
    rng: np.random.Generator,
) -> Plan:
    """Two kinds of monsters on two kinds of maps, as Waterbirds has birds and backgrounds.

    In the pool a kind stands on its own kind of map in a share `bias`; "validation-unbiased" and
    "test-unbiased" have all four groups equally often.
    """
    plan, pool = Plan(), []
    for kind, monsters in enumerate(kinds):
        for monster in monsters:
            own = round(pictures * bias)
            pool += [(m, monster, n) for m, n in spread(own, places[kind])]
            other = rng.permutation(places[1 - kind]).tolist()
            pool += [(m, monster, n) for m, n in spread(pictures - own, other)]
    pool = plan.take(pool)
    kind_of = {monster: kind for kind, monsters in enumerate(kinds) for monster in monsters}
    place_of = {m: place for place, maps in enumerate(places) for m in maps}
    keys = np.array([2 * kind_of[c] + place_of[m] for m, c, _ in pool])
    plan.deal(pool, keys, rng)
    every = [(m, c) for c in sorted(kind_of) for m in sorted(place_of)]
    plan.splits["validation-unbiased"] = plan.take((m, c, max(extra // 2, 1)) for m, c in every)
    plan.splits["test-unbiased"] = plan.take((m, c, extra) for m, c in every)
    return plan


def background_shift(
    seen: int, maps: int, classes: int, pictures: int, extra: int, rng: np.random.Generator
) -> Plan:
    """The pool is `iid` on the first `seen` maps; the tests are on them and on the others."""
    plan = iid(seen, classes, pictures, rng)
    same = plan.take(
        (m, c, n) for c in range(classes) for m, n in spread(extra * (maps - seen), range(seen))
    )
    plan.splits["test-original"] = same
    plan.splits["test-new-maps"] = plan.take(
        (m, c, extra) for c in range(classes) for m in range(seen, maps)
    )
    return plan
