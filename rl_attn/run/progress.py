"""A progress bar on a terminal, plain lines elsewhere; and a polite answer to Ctrl-C."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

_SECONDS_BETWEEN_LINES = 10


def return_and_iou(values: Mapping[str, float]) -> str:
    """What an agent's training has to say."""
    return f"return {values['charts/mean_return_100']:.2f}  IoU {values['attention/iou']:.3f}"


class Progress:
    """`progress.update(step, values)` shows steps, speed, `describe(values)` and the time left."""

    def __init__(
        self,
        start: int,
        total: int,
        describe: Callable[[Mapping[str, float]], str] = return_and_iou,
    ):
        self.start, self.total, self.describe = start, total, describe
        self.started = time.monotonic()
        self._next_line = 0.0
        self._bar: Bar | None = None
        console = Console(file=sys.stdout)
        if console.is_terminal:
            self._bar = Bar(BarColumn(), TextColumn("{task.description}"), console=console)
            self._task = self._bar.add_task("waiting for the first steps", total=total)

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
            self._bar.update(self._task, completed=self.start)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, step: int, values: Mapping[str, float]) -> None:
        now = time.monotonic()
        speed = (step - self.start) / max(now - self.started, 1e-9)
        left = time.strftime("%H:%M:%S", time.gmtime((self.total - step) / speed))
        text = (
            f"{step:,}/{self.total:,} steps  {speed:,.0f}/s  {self.describe(values)}  left {left}"
        )
        if self._bar:
            self._bar.update(self._task, completed=step, description=text)
        elif now >= self._next_line or step >= self.total:
            print(text, flush=True)
            self._next_line = now + _SECONDS_BETWEEN_LINES


class StopRequest:
    """True once the process was asked to stop; `signal` says by which signal."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0


@contextmanager
def stop_requests(what: str = "after this update") -> Iterator[StopRequest]:
    """Within the block, Ctrl-C and SIGTERM ask to stop; the same signal again does not ask."""
    stop = StopRequest()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: object) -> None:
        stop.signal = number
        signal.signal(number, before[number])
        print(f"stopping {what} (again: at once)", file=sys.stderr, flush=True)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
