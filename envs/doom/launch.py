"""The start of an engine, which may hang.

ViZDoom forks its engine from a program of many threads; two forks at once can lose one of them, and
`init` then waits for it without end. So games are forked one after the other; what takes longer,
the engine's own start, they do side by side.
"""

from __future__ import annotations

import threading

import vizdoom

from rl_attn.envs.doom.processes import GameProcess

#: Held while a game is forked.
FORKING = threading.Lock()

#: Seconds until a launch counts as failed; one takes 0.3 s on an idle machine.
TIMEOUT = 60.0


class Launch:
    """`doom.init()` in a thread of its own, which can be left behind."""

    def __init__(self, doom: vizdoom.DoomGame) -> None:
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._init, args=(doom,), name="launch", daemon=True)
        self._thread.start()

    def _init(self, doom: vizdoom.DoomGame) -> None:
        try:
            doom.init()
        except BaseException as error:  # raised by `Game`
            self.error = error

    def wait(
        self, process: GameProcess, give_up: threading.Event, until_forked: bool = False
    ) -> str | None:
        """None when `init` has returned or raised, or the engine's process has begun if that is
        enough; why that will never be, otherwise."""
        interval = 0.01 if until_forked else min(0.1, TIMEOUT / 10)
        waited = 0.0  # counted, because the clock runs on while this program is suspended
        while waited < TIMEOUT:
            self._thread.join(interval)
            if not self._thread.is_alive() or (until_forked and process.pid is not None):
                return None
            if process.failure is not None:
                return process.failure
            if give_up.is_set():
                return "it was given up"
            waited += interval
        return f"no answer within {TIMEOUT:g} s"
