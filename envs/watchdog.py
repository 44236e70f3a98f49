"""Kills what does not answer: a single game of Doom, or the processes of other environments.

    watchdog = Watchdog(game, hang_timeout=30.0)
    with watchdog:              # around every call
        game.step(...)          # raises GameFault after 30 seconds without an answer
    watchdog.close()

Lanes of Doom watch their own: an engine that hangs with a lock of ViZDoom's in its hands takes it
along (see `Game.abandon`), the call then never ends, and only lanes have a thread to spare for it.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


class Killable(Protocol):
    """What can be watched."""

    @property
    def launching(self) -> bool:
        """Whether it is being started, which may take longer."""
        ...

    def kill(self) -> None:
        """End it, so that the call that waits for it ends too. Called from another thread."""
        ...


class Watchdog:
    """A thread that looks at the calls to something. It begins with the first of them."""

    def __init__(self, watched: Killable, hang_timeout: float) -> None:
        """hang_timeout: seconds that one call may take before what is watched is killed."""
        if hang_timeout <= 0:
            raise ValueError(f"hang_timeout is {hang_timeout}: it must be above 0 seconds")
        self._watched = watched
        self._timeout = hang_timeout
        self._calls = _Calls()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # it is not forked, either
            self._calls = _Calls()
            self._thread = threading.Thread(
                target=_watch,
                # The thread must not keep alive what nobody else knows any more.
                args=(weakref.ref(self._watched), self._calls, self._timeout),
                name="watchdog",
                daemon=True,
            )
            self._thread.start()
        self._calls.number += 1

    def __exit__(self, *exception: object) -> None:
        self._calls.number += 1

    def close(self) -> None:
        """End the thread; the next call begins another."""
        self._calls.ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


class _Calls:
    """What the thread looks at."""

    def __init__(self) -> None:
        self.number = 0  # begun or ended: odd while one is under way
        self.ended = threading.Event()


def _watch(reference: weakref.ref[Killable], calls: _Calls, timeout: float) -> None:
    """Count what has been waited, not clock time, which runs on while the program is suspended."""
    interval = min(1.0, timeout / 5)
    seconds, last = 0.0, 0
    while not calls.ended.wait(interval):
        watched = reference()
        if watched is None:
            return
        number = calls.number
        waits = number == last and number % 2 == 1 and not watched.launching
        seconds, last = seconds + interval if waits else 0.0, number
        if seconds >= timeout:
            watched.kill()
        del watched
