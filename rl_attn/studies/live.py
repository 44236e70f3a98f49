"""What a study shows while it runs: a live table on a terminal, plain lines elsewhere."""

import shutil
import time
from collections import Counter
from typing import Any

from rich.live import Live
from rich.table import Table
from rich.text import Text

from rl_attn.run.ending import console
from rl_attn.run.progress import pace
from rl_attn.studies.cell import tail
from rl_attn.studies.estimate import clock, seconds_left
from rl_attn.studies.follow import Progress, follow
from rl_attn.studies.plan import Job
from rl_attn.studies.record import Record
from rl_attn.studies.schema import Study

_SECONDS_BETWEEN_TABLES = 1.0
_SECONDS_BETWEEN_LINES = 30.0
_COLOURS = {"running": "cyan", "finished": "green", "failed": "red", "pruned": "yellow"}
#: Running and failed cells are seen even where not all fit on the screen.
_ORDER = ("failed", "running", "pending", "finished", "pruned", "later")


class View:
    """`view.look(running)` as often as one likes; it shows as often as is useful.

    Args:
        study: says which columns of metrics.csv to show (in full, or their part behind the slash),
            and which setting holds a run's last global_step.
        at_once: how many cells run at a time, for the estimate of the time left.
    """

    def __init__(self, record: Record, study: Study, at_once: int):
        self.record, self.at_once = record, at_once
        self.watch, self.steps, self.pace = study.watch, study.steps, study.pace
        self._knows_all = study.search is None  # a search's later runs are not drawn yet
        self.console = console()
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._speeds = _Speeds()
        self._told: dict[str, tuple[str, int]] = {
            name: (entry.state, entry.attempts) for name, entry in record.entries.items()
        }
        self._next = time.monotonic()

    def __enter__(self) -> "View":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def look(self, running: list[Job]) -> None:
        now = time.monotonic()
        if self.console.is_terminal:
            if now >= self._next:
                self._live.update(self.table(), refresh=True)
                self._next = now + _SECONDS_BETWEEN_TABLES
            return
        self._tell_changes()
        if now >= self._next:
            for job in running:
                print(f"{job.name}: {self._in_words(job)}", flush=True)
            self._next = now + _SECONDS_BETWEEN_LINES

    def _tell_changes(self) -> None:
        for name, entry in self.record.entries.items():
            state = (entry.state, entry.attempts)
            if self._told.get(name, ("pending", entry.attempts)) != state:
                what = f"{entry.state} (attempt {entry.attempts}) {entry.message}".rstrip()
                print(f"{name}: {what}", flush=True)
            self._told[name] = state

    def _in_words(self, job: Job) -> str:
        progress, speed = self._at(job)
        metrics = ", ".join(f"{k} {v}" for k, v in self._metrics(progress).items())
        return "  ".join(part for part in (*_place(progress, speed), metrics) if part)

    def _at(self, job: Job) -> tuple[Progress, float | None]:
        progress = follow(job, self.steps)
        return progress, self._speeds.of(job, self.record.entries[job.name].attempts, progress.step)

    def _metrics(self, progress: Progress) -> dict[str, str]:
        """The watched columns and their newest values."""
        found = {}
        for name in self.watch:
            for column, value in progress.metrics.items():
                if name in (column, column.rpartition("/")[2]):
                    found[column.rpartition("/")[2]] = _short(value)
        return found

    def table(self) -> Table:
        """All cells, as many as fit; those that run or failed come first."""
        names = [name.rpartition("/")[2] for name in self.watch]
        table = Table("cell", "state", "try", "steps", "speed", "left", *names)
        table.title = self.headline()
        entries = self.record.entries
        order = sorted(entries, key=lambda name: _ORDER.index(entries[name].state))
        room = max(3, shutil.get_terminal_size().lines - 7)
        for name in order[:room]:
            table.add_row(*self._row(self.record.jobs[name], names))
        if len(order) > room:
            table.caption = f"and {len(order) - room} more"
        return table

    def _row(self, job: Job, names: list[str]) -> list[Any]:
        entry = self.record.entries[job.name]
        colour = _COLOURS.get(entry.state, "dim")
        state = Text(entry.state, colour)
        if entry.state == "pending" and not entry.attempts:
            return [job.name, state]
        progress, speed = self._at(job)
        place = _place(progress, speed if entry.state == "running" else None)
        metrics = self._metrics(progress)
        attempts = str(entry.attempts or "")
        return [job.name, state, attempts, *place, *(metrics.get(name, "") for name in names)]

    def headline(self) -> str:
        counts = Counter(entry.state for entry in self.record.entries.values())
        parts = [f"{counts[state]} {state}" for state in _ORDER if counts[state]]
        left = seconds_left(self.record, self.steps, self.at_once, self.pace)
        if left and self._knows_all:
            parts.append(f"about {clock(left)} left")
        return ", ".join(parts)


class _Speeds:
    """Steps/s of runs, from the first to the newest step that was seen in the present attempt.

    A run that is evaluated makes no steps: it keeps the speed that it had.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], tuple[float, int, float, int]] = {}

    def of(self, job: Job, attempt: int, step: int) -> float | None:
        now, key = time.monotonic(), (job.name, attempt)
        then, first, at, newest = self._seen.get(key, (now, step, now, step))
        if step > newest:
            at, newest = now, step
        self._seen[key] = (then, first, at, newest)
        return (newest - first) / (at - then) if newest > first and at > then else None


def _place(progress: Progress, speed: float | None) -> tuple[str, str, str]:
    """Steps of all, speed, time left; empty where unknown."""
    of_all = f"/{progress.total:,}" if progress.total else ""
    steps = f"{progress.step:,}{of_all}" if progress.step or progress.total else ""
    if speed is None:
        return steps, "", ""
    if progress.total and progress.step >= progress.total:
        return steps, pace(speed), "finishing"
    left = clock((progress.total - progress.step) / speed) if progress.total else ""
    return steps, pace(speed), left


def _short(value: str) -> str:
    """A number in three digits; as it is if it is none."""
    try:
        return f"{float(value):.3g}"
    except ValueError:
        return value


def print_end(record: Record) -> None:
    """What became of the study; of each failed job the last lines of its log."""
    for job in record.in_state("failed"):
        entry = record.entries[job.name]
        print(f"\n{job.name} failed after {entry.attempts} attempts: {entry.message}")
        print(f"the end of {job.log}:")
        print("\n".join(f"    {line}" for line in tail(job.log, 15)))
    counts = Counter(entry.state for entry in record.entries.values())
    print(", ".join(f"{n} {state}" for state, n in sorted(counts.items())))
