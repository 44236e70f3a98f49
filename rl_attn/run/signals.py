"""Ends of a process: Ctrl-C, SIGTERM, SIGHUP and a reader that went away.

A signal that this process was told to ignore (by `nohup`, or by `&` in a script) stays ignored. The
same signal within a second counts once: `uv run` under `timeout` forwards each one again.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS_OF_ONE = 1.0


class StopRequest:
    """True once the process was asked to stop; `signal` says by which signal."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0

    def ask(self, number: int) -> None:
        self.signal = self.signal or number


@contextmanager
def stop_requests(what: str = "after this update") -> Iterator[StopRequest]:
    """Within the block a signal asks to stop; one that comes over a second later acts at once."""
    stop = StopRequest()

    def first(number: int) -> None:
        stop.ask(number)
        tell(f"stopping {what} (again: at once)")

    with _handled(first):
        yield stop


@contextmanager
def exits() -> Iterator[None]:
    """Within the block a signal unwinds the program, which ends what it has started: Ctrl-C as
    KeyboardInterrupt, the others as SystemExit with status 128 + number."""

    def unwind(number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    with _handled(unwind):
        yield


def tell(line: str) -> None:
    """A line on standard error, also from a signal's handler and where nobody reads it."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())


def silence() -> None:
    """Nobody reads what this process prints any more: from now on it goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def _handled(first: Callable[[int], None]) -> Iterator[None]:
    """Handle the signals that are not ignored: `first` once, then what was there before."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {n: handler for n, handler in before.items() if handler != signal.SIG_IGN}
    came: dict[int, float] = {}

    def handle(number: int, _: object) -> None:
        now = time.monotonic()
        if number not in came:
            came[number] = now
            first(number)
        elif now - came[number] > _SECONDS_OF_ONE:
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
