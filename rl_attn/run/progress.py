"""A progress bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping

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
        left = duration((self.total - step) / max(speed, 1e-9))
        said = f"{pace(speed)}  {self.describe(values)}"
        text = f"{step:,}/{self.total:,} steps  {said}  left {left}"
        if self._bar:
            self._bar.update(self._task, completed=step, description=text)
        elif now >= self._next_line or step >= self.total:
            print(text, flush=True)
            self._next_line = now + _SECONDS_BETWEEN_LINES


def pace(speed: float) -> str:
    """Steps a second, or the seconds of one where it takes longer than ten.

    >>> pace(1234.5), pace(0.94), pace(0.02)
    ('1,234/s', '0.94/s', '1 in 50 s')
    """
    if speed < 0.1:
        return f"1 in {1 / max(speed, 1e-9):,.0f} s"
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, after days where there are any.

    >>> duration(59.9), duration(100_000)
    ('00:00:59', '1 d 03:46:40')
    """
    days, rest = divmod(int(min(seconds, 1e12)), 24 * 3600)
    clock = time.strftime("%H:%M:%S", time.gmtime(rest))
    return f"{days} d {clock}" if days else clock


class bar:
    """`with bar(text, total) as progress:` shows progress(done), as `Progress` does."""

    def __init__(self, text: str, total: int):
        self.text, self.total = text, total
        self.started = self._last_line = time.monotonic()
        console = Console(file=sys.stdout)
        self.bar = Bar(console=console, transient=True) if console.is_terminal else None
        self.task = self.bar.add_task(text, total=total) if self.bar else None

    def __enter__(self) -> Callable[[int], None]:
        if self.bar:
            self.bar.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def _show(self, done: int) -> None:
        now = time.monotonic()
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=done)
        elif now >= self._last_line + _SECONDS_BETWEEN_LINES:
            passed = now - self.started
            left = f"  left {duration(passed * (self.total - done) / done)}" if done else ""
            print(f"{self.text}  {done:,}/{self.total:,}{left}", flush=True)
            self._last_line = now
