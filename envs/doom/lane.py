"""One lane: a game that plays one episode after the other and survives faults of its engine.

When the next episode begins is said as gymnasium says it: in the step that ends one (SAME_STEP), in
the step after it, which then plays no action (NEXT_STEP), or at a `reset` only (DISABLED).

`Lanes` steps many of these at once. A lane knows the seed of the episode it plays and the actions
so far, which is all that is needed to play it again up to the same point: `state_dict` holds
those, and `load_state_dict` replays them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from rl_attn.envs.doom.game import Game, GameFault
from rl_attn.envs.doom.looks import Look, Looks, look_of_episode, variation_of
from rl_attn.envs.protocol import Episode, digest
from rl_attn.envs.seeds import ListedSeeds, RandomSeeds
from rl_attn.errors import EnvironmentFailed

MAX_ATTEMPTS = 3  # in a row, to get an episode going


class Abandoned(BaseException):
    """Ends a thread whose lane another thread took over. Not an Exception: nobody may catch it."""


@dataclass
class Outcome:
    """What one step of one lane brought."""

    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    final_frame: np.ndarray | None = None  # (H, W, C), of a truncated episode
    final_mask: np.ndarray | None = None  # (H, W)
    final_variables: np.ndarray | None = None  # (V,) float32
    episode: Episode | None = None


class Lane:
    """Plays the episodes of a stream of seeds on one game."""

    def __init__(
        self,
        index: int,
        game: Game,
        seeds: RandomSeeds | ListedSeeds,
        autoreset: AutoresetMode = AutoresetMode.SAME_STEP,
        looks: Looks | None = None,
    ) -> None:
        self.index = index
        self.game = game
        self.seeds = seeds
        self.autoreset = autoreset
        self.looks = looks
        self.variation: Any = None  # of its episodes, in place of `looks`: see `look_of_variation`
        self.started = False  # once an episode has begun, or there was none to begin
        self.over = False  # the episode has ended and the next one has not begun
        self.faults = 0
        self.calls = 0  # to the engine, begun or ended: odd while one is under way
        self.closing = False
        # How another thread goes on if the engine never answers the call under way.
        self.otherwise: Callable[[], Outcome | None] | None = None
        self.seed: int | None = None  # of the current episode; None: no seed is left
        self._actions: list[int] = []
        self._return = 0.0

    @property
    def busy(self) -> bool:
        """Whether the engine is working on a call."""
        return self.calls % 2 == 1

    @property
    def active(self) -> bool:
        return self.seed is not None

    def reset(self, frame: np.ndarray, mask: np.ndarray) -> None:
        """Begin the episode of the next seed; without one, go idle and draw zeros."""
        self._next(frame, mask, None)

    def step(self, action: Any, frame: np.ndarray, mask: np.ndarray) -> Outcome:
        """Play one action; at the end of an episode SAME_STEP draws the beginning of the next."""
        if not self.active:
            frame[...] = mask[...] = 0
            return Outcome()
        if self.over:
            outcome = Outcome()
            self._next(frame, mask, outcome)
            return outcome
        self.otherwise = lambda: self._failed(action, frame, mask)
        try:
            outcome = Outcome(*self._call(self.game.step, action, frame, mask))
        except GameFault:
            return self._failed(action, frame, mask)
        self._count(action, outcome.reward)
        if outcome.terminated or outcome.truncated:
            self._finish(outcome, False, frame, mask)
        return outcome

    def take_over(self) -> Outcome | None:
        """Finish what another thread began, whose call to the engine is never answered.

        That thread, should it ever go on, ends with `Abandoned`.
        """
        self.calls += 1
        self.game.abandon()
        return self.otherwise()

    def state_dict(self) -> dict[str, Any]:
        """All that continues this lane exactly: plain ints, floats, strings and lists."""
        chosen = self.variation
        return {
            "seeds": self.seeds.state_dict(),
            "seed": self.seed,
            "actions": list(self._actions),
            "return": self._return,
            "faults": self.faults,
            "over": self.over,
            "seen": self._seen(),
            "variation": variation_of(chosen) if isinstance(chosen, Look) else chosen,
        }

    def load_state_dict(self, state: dict[str, Any], frame: np.ndarray, mask: np.ndarray) -> None:
        """Play again what had been played of the episode; frame and mask are then its current."""
        self.seeds.load_state_dict(state["seeds"])
        self.seed, self.faults = state["seed"], int(state["faults"])
        self.started, self.variation = True, state.get("variation")
        if self.seed is None:
            frame[...] = mask[...] = 0
            return
        self._attempt(lambda: self._replay(state, frame, mask))
        self.over = bool(state.get("over", False))

    def _replay(self, state: dict[str, Any], frame: np.ndarray, mask: np.ndarray) -> None:
        self._begin(frame, mask)
        for action in state["actions"]:
            reward, terminated, truncated = self._call(self.game.step, action, frame, mask)
            self._count(action, reward)
            if terminated or truncated:
                break  # too early: their number will tell
        steps, played = len(state["actions"]), len(self._actions)
        found = ""
        if played != steps:
            found = f"its end after {played} steps"
        elif self._return != state["return"]:
            found = f"a return of {self._return} in place of {state['return']}"
        elif state.get("seen") and state["seen"] != self._seen():
            found = "another frame or mask"
        if found:
            raise RuntimeError(
                f"lane {self.index}: playing episode {self.seed} again for {steps} steps led to "
                f"{found}: the state comes from another version of the game, or from another WAD, "
                "scenario file, targets or looks"
            )

    def _seen(self) -> str:
        """What tells the current frame and mask from others; "" where no episode goes on."""
        if not self.active or self.over:
            return ""
        frame = np.empty(self.game.frame_shape, np.uint8)
        mask = np.empty(self.game.mask_shape, np.uint8)
        self.game.draw(frame, mask)
        return digest(frame, mask)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        call = self.calls
        try:
            return function(*arguments)
        finally:
            if self.calls != call:
                raise Abandoned
            self.calls += 1

    def _begin(self, frame: np.ndarray, mask: np.ndarray) -> None:
        self._actions, self._return, self.over = [], 0.0, False
        look = look_of_episode(self.looks, self.variation, self.seed)
        self._call(self.game.start, self.seed, frame, mask, look)

    def _count(self, action: Any, reward: float) -> None:
        self._actions.append(action)
        self._return += reward

    def _failed(self, action: Any, frame: np.ndarray, mask: np.ndarray) -> Outcome:
        """The outcome of a step in which the engine died."""
        self._count_fault()
        self._count(action, 0.0)
        outcome = Outcome(truncated=True)
        self._finish(outcome, True, frame, mask)
        return outcome

    def _finish(self, outcome: Outcome, fault: bool, frame: np.ndarray, mask: np.ndarray) -> None:
        outcome.episode = Episode(
            self.index, self.seed, self._return, len(self._actions), fault, outcome.truncated
        )
        if outcome.truncated:
            outcome.final_frame = np.empty(self.game.frame_shape, np.uint8)
            outcome.final_mask = np.empty(self.game.mask_shape, np.uint8)
            self.game.draw(outcome.final_frame, outcome.final_mask)
            outcome.final_variables = self.game.variables.copy()
        if self.autoreset is AutoresetMode.SAME_STEP:
            self._next(frame, mask, outcome)
        else:
            self.game.draw(frame, mask)
            self.over = True

    def _next(self, frame: np.ndarray, mask: np.ndarray, outcome: Outcome | None) -> None:
        """Begin the next episode, after a step that had this outcome."""
        self.seed, self.started = self.seeds.next(), True
        if self.seed is None:
            self.game.close()
            frame[...] = mask[...] = 0
            return
        self._attempt(lambda: self._begin(frame, mask), outcome)

    def _attempt(self, play: Callable[[], None], outcome: Outcome | None = None) -> None:
        """Try until the engine survives it; EnvironmentFailed when it keeps failing."""

        def again() -> Outcome | None:
            self._count_fault()
            self._attempt(play, outcome)
            return outcome

        self.otherwise = again
        for _ in range(MAX_ATTEMPTS):
            try:
                return play()
            except GameFault as error:
                fault = error
                self._count_fault()
        raise EnvironmentFailed(
            f"lane {self.index}: the game failed to start {MAX_ATTEMPTS} times in a row; "
            f"the last time: {fault}"
        ) from fault

    def _count_fault(self) -> None:
        self.faults += 1
        if self.closing:
            raise RuntimeError(f"lane {self.index} has been closed")
