"""Agents that play side by side, a step at a time, and obey keys.

    with Show({"Vanilla": one, "CAMAL": other}) as show:
        show.do("look:3")             # from the next step on, in another look
        for seat in show.step():      # one a player
            seat.frame, seat.map, seat.numbers

Every player has a game of its own, all begin with the same seed, and a game that ends is followed
by the next one. A change of looks begins the first player's game again, for all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from rl_attn.envs.protocol import Steps
from rl_attn.envs.variations import Variation
from rl_attn.errors import UserError
from rl_attn.live.sharp import Sharp
from rl_attn.pictures import attended, enlarged, rgb_of, scale_of, tinted
from rl_attn.rl.play import FIRST_SEED, Moment, Player, moments
from rl_attn.rl.video import drawn, numbers

#: Pixels that a picture is wide, at least.
WIDTH = 320
#: How many of each axis' looks are offered.
_LOOKS_PER_AXIS = 4
_SLOWEST, _FASTEST = 0.25, 8.0

#: What `Show.do` knows, beside "look:N": its keys, and what they do.
KEYS = {
    " ": "pause or go on",
    ".": "one step",
    "l": "next look",
    "k": "previous look",
    "n": "new game",
    "+": "faster",
    "-": "slower",
}


@dataclass(frozen=True)
class Seen:
    """One step of one player."""

    name: str
    frame: np.ndarray  # (H, W, 3) uint8: the frame with the mask
    map: np.ndarray  # (H, W, 3) uint8: the frame under its attention
    numbers: dict[str, str]  # action, reward, return, V, IoU, as they are shown


@dataclass
class _Seat:
    player: Player
    actions: tuple[str, ...]  # their names
    lanes: Steps
    seed: int  # of the game that is played
    steps: Iterator[Moment]


class Show:
    """See the head of this file; made and stepped by one thread, `do` may be called by any."""

    def __init__(self, players: dict[str, Player], sharp: bool = False, greedy: bool = False):
        """sharp: Doom is drawn at 320x240 for those who watch, and scaled to what the agents see:
        nearly, not exactly, what they would see otherwise. greedy: the likeliest actions."""
        self.players, self.sharp, self.greedy = players, sharp, greedy
        first = next(iter(players.values()))
        self.looks, self._fps = _looks(first), float(first.environment.fps)
        self.look, self.paused, self.speed = 0, False, 1.0
        self.changed = threading.Condition()
        self._once = False
        self._next: int | None = FIRST_SEED  # the seed of a game to begin

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._seats: dict[str, _Seat] = {}
            for name, player in self.players.items():
                lanes = stack.enter_context(self._lanes(player))
                names = player.environment.action_names
                self._seats[name] = _Seat(player, names, lanes, FIRST_SEED - 1, iter(()))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def fps(self) -> float:
        """Steps a second."""
        return self.speed * self._fps

    def do(self, command: str) -> None:
        """Obey a key of `KEYS`, or "look:N"; UserError for what there is not."""
        with self.changed:
            match command:
                case " ":
                    self.paused = not self.paused
                case ".":
                    self.paused = self._once = True
                case "l" | "k":
                    step = 1 if command == "l" else -1
                    self._choose((self.look + step) % len(self.looks))
                case "n":
                    self._next = 1 + max(seat.seed for seat in self._seats.values())
                case "+" | "-":
                    factor = 2 if command == "+" else 0.5
                    self.speed = min(_FASTEST, max(_SLOWEST, factor * self.speed))
                case _:
                    kind, _, number = command.partition(":")
                    if kind != "look" or not number.isdecimal():
                        raise UserError(f"unknown key {command!r}: choose from {''.join(KEYS)}")
                    if int(number) >= len(self.looks):
                        raise UserError(f"there is no look {number}: {len(self.looks)} of them")
                    self._choose(int(number))
            self.changed.notify_all()

    def _choose(self, look: int) -> None:
        self.look = look
        self._next = next(iter(self._seats.values())).seed if self._next is None else self._next

    @property
    def due(self) -> bool:
        """Whether the next step is to be played: False in a pause."""
        return self._once or self._next is not None or not self.paused

    def step(self) -> list[Seen]:
        """Play one step of every game and show it."""
        with self.changed:
            seed, self._next, self._once = self._next, None, False
            variation = self.looks[self.look][1]
        found: list[Seen] = []
        for name, seat in self._seats.items():
            if seed is not None:
                self._begin(seat, seed, variation)
            moment = next(seat.steps, None)
            if moment is None:  # the game is over
                self._begin(seat, seat.seed + 1, variation)
                moment = next(seat.steps)
            found.append(seen(name, moment, seat.actions, seat.lanes))
        return found

    def _begin(self, seat: _Seat, seed: int, variation: Variation | None) -> None:
        settings = seat.player.settings
        seat.seed = seed
        seat.steps = moments(
            seat.player.agent,
            seat.lanes,
            [seed],
            greedy=self.greedy,
            target=settings.attention_target,
            attention=settings.attention,
            variation=variation,
            reseed=True,
            **seat.player.shown,
        )

    def _lanes(self, player: Player) -> Any:
        return Sharp(player.settings) if self.sharp else player.environment.start(1)


def seen(
    name: str, moment: Moment, action_names: tuple[str, ...], lanes: Any = None, lane: int = 0
) -> Seen:
    """One lane of a moment, as pictures and words; of `Sharp` lanes, its large frame."""
    frame, mask = moment.frames[lane], moment.masks[lane].cpu().numpy()
    if isinstance(lanes, Sharp):
        frame, mask = lanes.large_frames[lane], lanes.large_masks[lane]
    scale = scale_of(frame.shape[1], WIDTH)
    rgb, on = enlarged(rgb_of(frame), scale), enlarged(mask > 0, scale)
    shown = attended(rgb, drawn(moment, lane), on)
    return Seen(name, tinted(rgb, on), shown, numbers(moment, action_names, lane))


def _looks(player: Player) -> list[tuple[str, Variation | None]]:
    """What can be chosen: the environment's own, then some of each axis that it varies by."""
    known = player.environment.variations()
    if known is None:
        return [("plain", None)]
    axes = known.select("test", _LOOKS_PER_AXIS)
    axes |= known.select(f"test:{','.join(known.controls)}", 1) if known.controls else {}
    listed = [variation for axis in axes.values() for variation in axis]
    return [("plain", {}), *((known.name(variation), variation) for variation in listed)]
