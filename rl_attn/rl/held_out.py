"""How well an agent plays under other looks than the plain one.

The same seeds are played under each look, so that what an episode loses under it is a paired
difference. Intervals are over seeds: an episode's number for an axis is its mean over the axis'
looks. The interquartile mean (Agarwal et al. 2021) is over looks and episodes, its interval of
episodes resampled within each look.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_attn.envs.registry import is_gymnasium_id
from rl_attn.envs.variations import Variation, Variations
from rl_attn.errors import UserError
from rl_attn.rl.play import Played, Player
from rl_attn.statistics import Estimate, Interval, bootstrap, mean_interval


class Row(NamedTuple):
    """What is said of one look, of all looks of an axis (look is ""), or of all (axis is "")."""

    axis: str
    look: str
    looks: int
    episode_return: Interval
    drop: Interval  # plain minus other
    iqm: Estimate  # of returns


@dataclass(frozen=True)
class Returns:
    """Raw returns of the same E episodes, those without a fault under any look."""

    plain: np.ndarray  # (E,)
    looks: dict[str, dict[str, np.ndarray]]  # axis -> look -> (E,)
    faults: int  # episodes left out

    def rows(self) -> list[Row]:
        """All together, then each axis and its looks."""
        every = [returns for looks in self.looks.values() for returns in looks.values()]
        rows = [self._row("", "", every)]
        for axis, looks in self.looks.items():
            rows.append(self._row(axis, "", list(looks.values())))
            rows += [self._row(axis, look, [returns]) for look, returns in looks.items()]
        return rows

    def _row(self, axis: str, look: str, returns: list[np.ndarray]) -> Row:
        scores = np.stack(returns)  # (looks, E)
        mean = scores.mean(0)
        drop = mean_interval((self.plain - mean).tolist())
        return Row(axis, look, len(scores), mean_interval(mean.tolist()), drop, _iqm(scores))

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        rows = [
            {k: v._asdict() if hasattr(v, "_asdict") else v for k, v in row._asdict().items()}
            for row in self.rows()
        ]
        episodes = {
            axis: {look: returns.tolist() for look, returns in looks.items()}
            for axis, looks in self.looks.items()
        }
        return {
            "plain": mean_interval(self.plain.tolist())._asdict(),
            "rows": rows,
            "episodes": {"plain": self.plain.tolist(), **episodes},
            "faults": self.faults,
        }

    def write_csv(self, path: Path) -> None:
        """The rows, and the plain look as the axis "plain"."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            names = [f"{name}{end}" for name in ("return", "drop", "iqm") for end in _ENDS]
            writer.writerow(["axis", "look", "looks", "episodes", *names])
            count = len(self.plain)
            writer.writerow(["plain", "", 1, count, *mean_interval(self.plain.tolist()), *[""] * 6])
            for axis, look, looks, *numbers in self.rows():
                flat = [number for numbers_ in numbers for number in numbers_]
                writer.writerow([axis or "all", look, looks, count, *flat])


_ENDS = ("", "_low", "_high")


def _iqm(scores: np.ndarray) -> Estimate:
    """Of (looks, E); one episode has nothing to be resampled with."""
    if scores.size == 0:
        return Estimate(np.nan, np.nan, np.nan)
    found = bootstrap(scores, "iqm", np.random.default_rng(0), resamples=10_000)
    return found if scores.shape[1] > 1 else Estimate(found.value, np.nan, np.nan)


def play_looks(
    player: Player,
    num_lanes: int,
    seeds: Sequence[int],
    looks: dict[str, list[Variation]],
    *,
    wads: Sequence[str] = (),
    plain: Sequence[Played] | None = None,
    progress: Callable[[int], None] | None = None,
    **how: Any,
) -> Returns:
    """Play the seeds under each of the looks (by axis), and plain unless that has been played.

    wads: of Doom, other people's looks as paths, played as the axis "wads". progress: told at every
    step how many looks are done. how: as in `play`.
    """
    if plain is None:
        plain = player.play(num_lanes, seeds, variation={}, **how)
    others: list[tuple[str, str, Player, dict[str, Any]]] = []
    for axis, variations in looks.items():
        name = variations_of(player).name
        others += [(axis, name(one), player, {"variation": one}) for one in variations]
    paths = list(dict.fromkeys(map(Path, wads)))
    named = Counter(path.stem for path in paths)  # files of two folders may have one name
    for path in paths:
        look = path.stem if named[path.stem] == 1 else str(path)
        others.append(("wads", look, in_wad(player, str(path)), {}))
    played: dict[str, dict[str, list[Played]]] = {}
    for done, (axis, look, one, extra) in enumerate(others, start=1):
        if progress:
            extra = extra | {"progress": lambda _, before=done - 1: progress(before)}
        played.setdefault(axis, {})[look] = one.play(num_lanes, seeds, **extra, **how)
        if progress:
            progress(done)
    return returns_of(plain, played)


def in_wad(player: Player, wad: str) -> Player:
    """The player in another WAD; UserError if its scenario cannot be played there."""
    other = replace(player, settings=replace(player.settings, wad=wad, looks=""))
    if is_gymnasium_id(player.settings.env):
        raise UserError(f"--wads are for Doom: leave them out with {player.settings.env}")
    environment = other.environment
    if environment.action_space != player.environment.action_space:
        raise UserError(f"{wad} has other actions than {player.settings.env}")
    return other


def returns_of(plain: Sequence[Played], played: dict[str, dict[str, list[Played]]]) -> Returns:
    """The returns of episodes that no fault has cut short under any look."""
    every = [plain, *(episodes for looks in played.values() for episodes in looks.values())]
    whole = ~np.array([[e.fault for e in episodes] for episodes in every]).any(0)

    def returns(episodes: Sequence[Played]) -> np.ndarray:
        return np.array([e.episode_return for e in episodes], np.float64)[whole]

    looks = {
        axis: {look: returns(episodes) for look, episodes in named.items()}
        for axis, named in played.items()
    }
    return Returns(returns(plain), looks, int((~whole).sum()))


def variations_of(player: Player) -> Variations:
    """What of the player's environment can look another way; UserError if nothing can."""
    known = player.environment.variations()
    if known is None:
        raise UserError(
            f"{player.settings.env} has no other looks: give it a variation_space (see "
            "rl_attn.envs.variations), or leave --looks and --twins out"
        )
    return known
